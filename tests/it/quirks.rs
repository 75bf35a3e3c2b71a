//! Each vendor as its own documentation describes it, and our bundled definition of it: what the browser is asked, what
//! the vendor is sent, what it answers, and what is made of that. One file a vendor; each names the pages that it
//! stands on. What no page says is marked as seen by others, or as not verified.

mod fake;
mod request;

mod atlassian;
mod browsers;
mod discord;
mod github;
mod gitlab;
mod google;
mod hubspot;
mod klaviyo;
mod linear;
mod microsoft;
mod notion;
mod notion_mcp;
mod postiz;
mod reddit;
mod slack;
mod todoist;
mod x;
mod zoom;
