//! Ends this process when the one that started it is gone, so that no orphans stay behind.
//!
//! The controller keeps the write end of our standard input open and never writes; however it
//! dies, the kernel closes that end and a blocked read returns. Unlike Linux' parent-death signal
//! this works everywhere, and does not fire when only the *thread* that started us ends.

use std::io::Read as _;

use tokio::sync::oneshot;

/// Resolves when standard input has ended, which means that the controller is gone.
///
/// The thread it starts cannot be stopped, as a blocked read cannot; it ends with the process.
pub async fn gone() {
    let (tell, told) = oneshot::channel();
    let watching = std::thread::Builder::new()
        .name("parent-watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let mut scratch = [0; 64];
            loop {
                match stdin.read(&mut scratch) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            // Nobody listens any more if the process is stopping already.
            let _ = tell.send(());
        });
    if let Err(error) = watching {
        tracing::warn!(%error, "cannot watch for the end of the parent process");
        return std::future::pending().await;
    }
    let _ = told.await;
}
