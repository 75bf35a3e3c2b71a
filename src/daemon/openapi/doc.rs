//! What each route takes and answers, by resource (`contract/http.md` section 3).

#![allow(clippy::wildcard_imports)] // each file speaks the whole language of shapes

mod accounts;
mod audit;
mod connections;
mod credentials;
mod health;
mod identities;
mod logins;
mod pages;
mod providers;

pub(in crate::daemon) use accounts::*;
pub(in crate::daemon) use audit::*;
pub(in crate::daemon) use connections::*;
pub(in crate::daemon) use credentials::*;
pub(in crate::daemon) use health::*;
pub(in crate::daemon) use identities::*;
pub(in crate::daemon) use logins::*;
pub(in crate::daemon) use pages::*;
pub(in crate::daemon) use providers::*;

use super::schema::Schema::{
    Any, Either, Flag, Integer, List, Map, Named, Nullable, Number, Object, OneOf, Text, Time,
};
use super::schema::{TEXT_OR_NULL, TEXTS, TEXTS_OR_NULL, TIME_OR_NULL, may, need};
use super::shared::OK;
use super::{Answer, Body, Content, Doc, Field, SEE_OTHER, Schema, html, json, shared};
