//! A script's parameters: declared by `arg("count", 50)`, set by `--set count=5000`.
//!
//! Declarations are read from the text of the script, so that a mistyped name is refused before a
//! cluster is started. That is why the name in `arg` must be written out.

use std::collections::BTreeMap;

use rhai::Dynamic;

use super::suggest::nearest;
use super::{Scenario, trouble::Trouble};

/// One declared parameter.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its default, as written in the script.
    pub default: String,
}

/// What `--set` said, by name.
pub type Sets = BTreeMap<String, String>;

/// Reads one `name=value`.
///
/// # Errors
///
/// A sentence for the person who wrote it.
pub fn parse_set(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("{text:?} is not NAME=VALUE, such as count=5000")),
    }
}

/// Every parameter a script declares, in the order it does, each once.
pub fn declared(source: &str) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find("arg(") {
        let is_word = rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = &rest[at + "arg(".len()..];
        if is_word {
            continue;
        }
        let Some((name, default)) = declaration(rest) else {
            continue;
        };
        if !params.iter().any(|param| param.name == name) {
            params.push(Param {
                name: name.to_owned(),
                default: default.to_owned(),
            });
        }
    }
    params
}

/// Checks that every set parameter is declared by one of the scenarios.
///
/// # Errors
///
/// A sentence that lists the known ones.
pub fn check(sets: &Sets, scenarios: &[Scenario]) -> Result<(), String> {
    let known: Vec<Param> = scenarios
        .iter()
        .flat_map(|scenario| declared(&scenario.source))
        .collect();
    for name in sets.keys() {
        if known.iter().any(|param| param.name == *name) {
            continue;
        }
        let names = known.iter().map(|param| param.name.as_str());
        let near = match nearest(name, names) {
            Some(near) => format!(", did you mean {near}?"),
            None => String::new(),
        };
        let list: Vec<_> = known
            .iter()
            .map(|param| format!("{} (default {})", param.name, param.default))
            .collect();
        let list = if list.is_empty() {
            "there are none".to_owned()
        } else {
            format!("it knows {}", list.join(", "))
        };
        return Err(format!("--set {name}: no such parameter{near}; {list}"));
    }
    Ok(())
}

/// The value of a parameter: what was set, read as the kind of value the default is.
///
/// # Errors
///
/// When what was set is of another kind.
pub fn resolve(sets: &Sets, name: &str, default: Dynamic) -> Result<Dynamic, Trouble> {
    let Some(text) = sets.get(name) else {
        return Ok(default);
    };
    let read: Option<Dynamic> = if default.is_int() {
        text.replace('_', "").parse::<i64>().ok().map(Dynamic::from)
    } else if default.is_float() {
        text.parse::<f64>().ok().map(Dynamic::from)
    } else if default.is_bool() {
        text.parse::<bool>().ok().map(Dynamic::from)
    } else {
        Some(Dynamic::from(text.clone()))
    };
    read.ok_or_else(|| {
        let kind = if default.is_int() {
            "a whole number"
        } else if default.is_float() {
            "a number"
        } else {
            "true or false"
        };
        Trouble::mistake(format!(
            "--set {name}={text}: must be {kind}, such as {default}"
        ))
    })
}

/// The name and default of a declaration, from just after its parenthesis.
fn declaration(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start().strip_prefix('"')?;
    let (name, rest) = text.split_once('"')?;
    let rest = rest.trim_start().strip_prefix(',')?.trim_start();
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"')? + 2,
        None => rest.find([',', ')'])?,
    };
    Some((name, rest[..end].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        let count = arg("count", 50);
        let within = arg( "within" , "2s" );
        charge("nothing", 1);
        let again = arg("count", 50);
    "#;

    fn sets(pairs: &[(&str, &str)]) -> Sets {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn scenario() -> Scenario {
        Scenario {
            name: "x".to_owned(),
            file: "x.rhai".to_owned(),
            source: SOURCE.into(),
        }
    }

    #[test]
    fn declarations_are_read_from_the_text() {
        let params: Vec<_> = declared(SOURCE)
            .into_iter()
            .map(|param| (param.name, param.default))
            .collect();
        let expected = [("count", "50"), ("within", "\"2s\"")];
        assert_eq!(params, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn an_unknown_parameter_is_answered_with_the_known_ones() {
        assert_eq!(check(&sets(&[("count", "1")]), &[scenario()]), Ok(()));
        let error = check(&sets(&[("cuont", "1")]), &[scenario()]).unwrap_err();
        assert!(error.contains("did you mean count?"), "{error}");
        assert!(error.contains("count (default 50)"), "{error}");
    }

    #[test]
    fn a_value_is_read_as_its_default_is() {
        let set = sets(&[("count", "5_000"), ("bad", "many")]);
        let read = resolve(&set, "count", Dynamic::from(50_i64)).unwrap();
        assert_eq!(read.as_int(), Ok(5_000));
        let read = resolve(&set, "other", Dynamic::from(7_i64)).unwrap();
        assert_eq!(read.as_int(), Ok(7));
        let error = resolve(&set, "bad", Dynamic::from(50_i64)).unwrap_err();
        assert!(
            error.to_string().contains("must be a whole number"),
            "{error}"
        );
    }

    #[test]
    fn a_set_is_a_name_and_a_value() {
        assert_eq!(
            parse_set("count = 5=6"),
            Ok(("count".to_owned(), "5=6".to_owned()))
        );
        assert!(parse_set("count").is_err());
        assert!(parse_set("=5").is_err());
    }
}
