//! "Did you mean …?": the nearest of some names, if one is near enough to be meant.

/// The known name a mistyped one is nearest to.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Half wrong is a guess, not a slip.
    let allowed = (name.chars().count() / 2).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(name, candidate);
            // Of equally near ones, letters in the wrong order are likelier than one too many.
            (distance, name.len().abs_diff(candidate.len()), candidate)
        })
        .filter(|(distance, ..)| *distance <= allowed)
        .min()
        .map(|(.., candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_guess_is_not() {
        let known = ["create", "kill", "await_visible"];
        assert_eq!(nearest("craete", known), Some("create"));
        assert_eq!(nearest("await_visable", known), Some("await_visible"));
        assert_eq!(nearest("kil", known), Some("kill"));
        assert_eq!(nearest("frobnicate", known), None);
    }
}
