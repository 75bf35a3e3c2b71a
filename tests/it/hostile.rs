//! Authorization servers that are broken, slow or evil, through the real daemon: what people see, what is stored, and
//! what is noted.

mod callback;
mod clients;
mod device;
mod login;
mod refresh;
mod stage;
