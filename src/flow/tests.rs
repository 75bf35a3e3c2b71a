//! This room against real servers on loopback: what is on the wire, and what is made of every kind of answer.

mod hostile;
mod network;
mod refusals;
mod shapes;
mod wire;
