//! The dashboard from outside: what keys ask for, and what the screen shows at every size.

mod dump;
mod fixture;
mod frames;
mod keys;
mod sizes;
