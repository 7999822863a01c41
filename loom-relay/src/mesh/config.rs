//! What kind of member a mesh is.

use crate::model::Soul;

/// Where relays and nodes differ.
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// Acknowledge puts of peers that are not Loom. Somebody must: gun.js' callbacks wait for it.
    pub acks_puts: bool,
    /// Say so when a get finds nothing. Somebody must: gun.js' `once` waits for it.
    pub answers_missing: bool,
    /// What to ask of a peer that we dialled and that is not Loom.
    pub interest: Interest,
    /// Check what others write against SEA's rules ([`crate::sea`]), and refuse what breaks them.
    pub verifies_sea: bool,
    /// Keep writes that lost for [`super::Mesh::take_beaten`].
    pub keeps_beaten: bool,
}

/// What is wanted of a peer without reconciliation.
#[derive(Clone, Debug)]
pub enum Interest {
    /// These souls.
    Souls(Vec<Soul>),
    /// Whatever souls are held already.
    Held,
}

impl MeshConfig {
    /// A relay: the member that answers for everybody.
    pub fn relay() -> Self {
        Self {
            acks_puts: true,
            answers_missing: true,
            interest: Interest::Held,
            verifies_sea: false,
            keeps_beaten: false,
        }
    }

    /// A node: it speaks when it has something, and leaves the rest to the relay.
    pub fn node(interest: Vec<Soul>) -> Self {
        Self {
            acks_puts: false,
            answers_missing: false,
            interest: Interest::Souls(interest),
            verifies_sea: false,
            keeps_beaten: true,
        }
    }
}
