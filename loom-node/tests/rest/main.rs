//! The REST API of a running node, over real sockets.

#[cfg(test)]
mod bulk;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod node;
#[cfg(test)]
mod records;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod support;
