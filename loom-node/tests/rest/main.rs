//! Running nodes and their REST API, over real sockets.

#[cfg(test)]
mod bulk;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod link;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod node;
#[cfg(test)]
mod records;
#[cfg(test)]
mod routes;
#[path = "../../../loom-relay/tests/soon/mod.rs"]
mod soon;
#[cfg(test)]
mod support;
