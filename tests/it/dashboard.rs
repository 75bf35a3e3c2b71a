//! The dashboard as people use it, and as attackers try to: the real daemon before a real browser.

mod accounts;
mod agents;
mod attacks;
mod audit;
mod connect;
mod define;
mod every_page;
mod keyboard;
mod roles;
mod sessions;
mod stage;
