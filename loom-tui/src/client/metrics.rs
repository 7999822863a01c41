//! What a member tells about its own process on `GET /metrics`.

use std::time::Duration;

/// For the page. A frozen process never answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of the page that are read; today's pages have a tenth of it.
const PAGE_MAX: usize = 1 << 20;

/// Resident memory of the member at `base`, as it says itself; `None` when it does not.
pub async fn resident_bytes(http: &reqwest::Client, base: &str) -> Option<u64> {
    let url = format!("{}/metrics", base.trim_end_matches('/'));
    let mut answer = http.get(url).timeout(ANSWER_WITHIN).send().await.ok()?;
    let mut page = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        if page.len() + part.len() > PAGE_MAX {
            return None;
        }
        page.extend_from_slice(&part);
    }
    resident_on(&String::from_utf8(page).ok()?)
}

fn resident_on(page: &str) -> Option<u64> {
    let told = page
        .lines()
        .find_map(|line| line.strip_prefix("process_resident_memory_bytes "))?;
    let bytes: f64 = told.trim().parse().ok()?;
    // Exact far beyond any memory there is.
    (bytes.is_finite() && bytes > 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_where_it_is_told() {
        let page = "# TYPE process_resident_memory_bytes gauge\n\
                    process_resident_memory_bytes 19038208\nother 1\n";
        assert_eq!(resident_on(page), Some(19_038_208));
        for page in [
            "",
            "process_resident_memory_bytes\n",
            "process_resident_memory_bytes NaN\n",
            "process_resident_memory_bytes -1\n",
            "process_resident_memory_bytes_max 7\n",
        ] {
            assert_eq!(resident_on(page), None, "{page:?}");
        }
    }
}
