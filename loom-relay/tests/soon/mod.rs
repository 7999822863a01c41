//! Waiting for what another process or task is about to do: it is asked again until it has.

use std::time::Duration;

/// Nothing that is waited for takes this long unless it never comes.
const SOON: Duration = Duration::from_secs(60);
/// Between two questions: who is asked says nothing by itself.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// The first answer there is.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    let answered = tokio::time::timeout(SOON, asking).await;
    answered.unwrap_or_else(|_| panic!("never: {what}"))
}
