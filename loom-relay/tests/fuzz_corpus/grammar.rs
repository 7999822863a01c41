//! Frames built from the pieces that GUN's frames are made of, right and wrong ones.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use loom_relay::graph::BRIEF_BYTES;

use crate::program::Program;

/// What a frame can refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// Ids the mesh has used towards this link lately, the newest last.
    pub(crate) said: &'a [String],
    /// The name the mesh greets with.
    pub(crate) pid: &'a str,
    pub(crate) wall_ms: u64,
}

const IDS: [&str; 12] = [
    "\"a\"",
    "\"b\"",
    "\"c\"",
    "\"d\"",
    "5",
    "\"5\"",
    "-0",
    "1e21",
    "\"\"",
    "null",
    "[\"a\"]",
    "\"an id that is far longer than the sixty-four bytes that an id may have at most\"",
];

const SOULS: [&str; 10] = [
    "\"s\"",
    "\"t\"",
    "\"u\"",
    "\"loomdb:nodes\"",
    "\"loomdb:edges\"",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "\"~@\"",
    "7",
];

const FIELDS: [&str; 9] = [
    "\"f\"",
    "\"g\"",
    "\"h\"",
    "\"10\"",
    "\"9\"",
    "\"_\"",
    "\"\"",
    "\"#\"",
    "\"\\udfff\"",
];

const VALUES: [&str; 22] = [
    "1",
    "\"x\"",
    "null",
    "true",
    "false",
    "\"y\"",
    "{\"#\":\"s\"}",
    "{\"#\":\"t\"}",
    "-0",
    "1e21",
    "1e-7",
    "1e999",
    "\"\\ud800\"",
    "\"\u{ff5e}\"",
    "\"\u{1f600}\"",
    "[]",
    "{}",
    "{\"#\":\"\"}",
    "{\"#\":1}",
    "[[[[[[[[]]]]]]]]",
    "\"\"",
    "123456789012345678901234567890",
];

/// Some frame.
pub(crate) fn frame(program: &mut Program<'_>, context: &Context<'_>) -> String {
    let mut frame = String::new();
    match program.below(8) {
        0 => {
            frame.push('[');
            for nth in 0..program.below(5) {
                if nth > 0 {
                    frame.push(',');
                }
                match program.below(6) {
                    0 => frame.push_str(program.pick(&["null", "[]", "[{}]", "5", "\"\"", "true"])),
                    _ => message(&mut frame, program, context),
                }
            }
            frame.push(']');
        }
        _ => message(&mut frame, program, context),
    }
    if program.rarely(16) {
        damage(&mut frame, program);
    }
    frame
}

/// A put that nobody could refuse, under an id nobody has used.
pub(crate) fn sound_put(id: &str, program: &mut Program<'_>, context: &Context<'_>) -> String {
    let soul = program.pick(&SOULS[..5]);
    let field = program.pick(&FIELDS[..5]);
    let state = state(program, context);
    let value = program.pick(&VALUES[..11]);
    let mut put = format!(
        "{{\"#\":\"{id}\",\"put\":{{{soul}:{{\"_\":{{\"#\":{soul},\">\":{{{field}:{state}}}}},{field}:{value}}}}}"
    );
    decorate(&mut put, program);
    put.push('}');
    put
}

/// A put of many souls, or of one large value.
pub(crate) fn large_put(id: &str, program: &mut Program<'_>, context: &Context<'_>) -> String {
    let state = context.wall_ms;
    if program.rarely(8) {
        let value = "v".repeat(100_000);
        let field = program.byte();
        return format!(
            "{{\"#\":\"{id}\",\"put\":{{\"large\":{{\"_\":{{\"#\":\"large\",\">\":{{\"{field}\":{state}}}}},\"{field}\":\"{value}\"}}}}}}"
        );
    }
    let mut put = format!("{{\"#\":\"{id}\",\"put\":{{");
    let first = u16::from(program.byte());
    for soul in first..first + 40 {
        let comma = if soul > first { "," } else { "" };
        let _ = write!(
            put,
            "{comma}\"m{soul}\":{{\"_\":{{\"#\":\"m{soul}\",\">\":{{\"f\":{state}}}}},\"f\":{{\"#\":\"m{}\"}}}}",
            soul + 1
        );
    }
    put.push_str("}}");
    put
}

fn message(to: &mut String, program: &mut Program<'_>, context: &Context<'_>) {
    to.push('{');
    if !program.rarely(8) {
        let _ = write!(to, "\"#\":{},", id(program, context));
    }
    match program.below(13) {
        10 => loom_question(to, program, context),
        11 => loom_answer(to, program, context),
        0 => put(to, program, context),
        1 => get(to, program),
        2 => {
            let _ = write!(to, "\"@\":{},", id(program, context));
            put(to, program, context);
        }
        3 => {
            let question = id(program, context);
            let verdict = program.pick(&[
                "\"ok\":true",
                "\"err\":\"no\"",
                "\"ok\":{\"\":1}",
                "\"x\":1",
                "\"put\":null",
            ]);
            let _ = write!(to, "\"@\":{question},{verdict}");
        }
        4 => to.push_str(program.pick(&[
            "\"app\":1",
            "\"put\":null",
            "\"get\":null",
            "\"put\":5",
            "\"get\":[]",
            "\"put\":{}",
            "\"get\":{}",
            "\"put\":\"x\"",
            "\"ok\":1",
        ])),
        5 => hello(to, program, context),
        6 => to.push_str(program.pick(&[
            "\"dam\":\"!\",\"err\":5",
            "\"dam\":\"service\"",
            "\"dam\":5",
            "\"dam\":null",
            "\"dam\":\"opt\",\"opt\":{\"peers\":\"http://x\"}",
            "\"dam\":\"mob\",\"mob\":1",
            "\"dam\":\"loom\"",
            "\"dam\":\"loom\",\"ask\":\"root\"",
            "\"dam\":\"hi\"",
        ])),
        7 => {
            to.push_str("\"dam\":\"loom\",\"ask\":\"chunk\"");
            if !program.rarely(3) {
                let _ = write!(to, ",\"after\":{}", cursor(program));
            }
        }
        8 => {
            let question = id(program, context);
            let root = program.pick(&["\"00\"", "\"\"", "5", "null"]);
            let count = program.pick(&["0", "1", "9", "-1", "1e3", "null", "18446744073709551615"]);
            let _ = write!(
                to,
                "\"@\":{question},\"dam\":\"loom\",\"root\":{root},\"count\":{count}"
            );
        }
        _ => {
            let question = id(program, context);
            let next = cursor(program);
            let _ = write!(to, "\"@\":{question},\"dam\":\"loom\",\"next\":{next},");
            put(to, program, context);
        }
    }
    decorate(to, program);
    to.push('}');
}

/// What may stand in any message.
fn decorate(to: &mut String, program: &mut Program<'_>) {
    if program.rarely(3) {
        to.push(',');
        to.push_str(program.pick(&[
            "\"##\":1",
            "\"##\":-2147483648",
            "\"##\":\"banana\"",
            "\"nts\":1",
            "\"><\":\"a,b\"",
            "\"ok\":{\"@\":9,\"/\":1}",
            "\"ok\":{\"@\":-1}",
            "\"ok\":[]",
            "\"%\":1",
            "\"#\":\"z\"",
        ]));
    }
}

fn put(to: &mut String, program: &mut Program<'_>, context: &Context<'_>) {
    to.push_str("\"put\":{");
    for node in 0..program.below(3) {
        let comma = if node > 0 { "," } else { "" };
        let soul = program.pick(&SOULS);
        let inside = if program.rarely(16) {
            program.pick(&SOULS)
        } else {
            soul
        };
        let _ = write!(to, "{comma}{soul}:{{\"_\":{{\"#\":{inside},\">\":{{");
        let fields: Vec<_> = (0..program.below(4))
            .map(|_| program.pick(&FIELDS))
            .collect();
        for (nth, field) in fields.iter().enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            let state = if program.rarely(16) {
                program.pick(&["null", "\"1\"", "1e999", "{}"]).to_owned()
            } else {
                state(program, context)
            };
            let _ = write!(to, "{comma}{field}:{state}");
        }
        to.push_str("}}");
        for field in &fields {
            let _ = write!(to, ",{field}:{}", program.pick(&VALUES));
        }
        to.push('}');
    }
    to.push('}');
}

/// Around the present, far from it, and where doubles end.
fn state(program: &mut Program<'_>, context: &Context<'_>) -> String {
    let now = context.wall_ms;
    let near = u64::from(program.byte());
    match program.below(8) {
        0 => "-1e308".to_owned(),
        1 => program
            .pick(&["1e308", "0", "-0", "5e-324", "9007199254740993"])
            .to_owned(),
        2 => now.saturating_sub(near).to_string(),
        3 => now.saturating_add(near).to_string(),
        4 => format!("{now}.{near:03}"),
        5 => now.saturating_add(near * 100_000).to_string(),
        6 => near.to_string(),
        _ => now.to_string(),
    }
}

fn get(to: &mut String, program: &mut Program<'_>) {
    to.push_str("\"get\":{");
    let mut comma = "";
    if !program.rarely(8) {
        let _ = write!(to, "\"#\":{}", name_or_lex(program, &SOULS));
        comma = ",";
    }
    if program.rarely(2) {
        let _ = write!(to, "{comma}\".\":{}", name_or_lex(program, &FIELDS));
        comma = ",";
    }
    if program.rarely(4) {
        let member = program.pick(&[
            "\"%\":1",
            "\"%\":\"x\"",
            "\"%\":1e99",
            "\"-\":1",
            "\"-\":{}",
        ]);
        let _ = write!(to, "{comma}{member}");
    }
    to.push('}');
}

fn name_or_lex(program: &mut Program<'_>, names: &[&str]) -> String {
    if !program.rarely(3) {
        let everything = ["\"large\"", "\"m3\""];
        let nth = program.below(names.len() + everything.len());
        return names
            .get(nth)
            .or(everything.get(nth % 2))
            .map_or_else(String::new, |it| (*it).to_owned());
    }
    let members = ["\"=\"", "\"*\"", "\">\"", "\"<\"", "\"-\""];
    let mut lex = "{".to_owned();
    for nth in 0..program.below(3) {
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(
            lex,
            "{comma}{}:{}",
            program.pick(&members),
            program.pick(names)
        );
    }
    lex.push('}');
    lex
}

fn hello(to: &mut String, program: &mut Program<'_>, context: &Context<'_>) {
    if program.rarely(2) {
        let _ = write!(to, "\"@\":{},", id(program, context));
    }
    let pid = match program.below(8) {
        0 => format!("\"{}\"", context.pid),
        1 => "5".to_owned(),
        nth => format!("\"pid{nth}\""),
    };
    let _ = write!(to, "\"dam\":\"?\",\"pid\":{pid}");
    to.push_str(program.pick(&[
        "",
        ",\"loom\":{\"v\":1,\"sync\":1}",
        ",\"loom\":{}",
        ",\"loom\":{\"sync\":-1}",
        ",\"loom\":{\"v\":1,\"sync\":2}",
        ",\"loom\":{\"v\":1,\"sync\":2}",
    ]));
}

/// What version 2 of Loom's reconciliation asks.
fn loom_question(to: &mut String, program: &mut Program<'_>, context: &Context<'_>) {
    let number = loom_number(program, context);
    let _ = match program.below(4) {
        0 => write!(
            to,
            "\"dam\":\"loom\",\"ask\":\"root\",\"loom\":{{\"root\":\"00\",\"count\":{},\"passed\":{}}}",
            program.pick(&["0", "3", "-1", "18446744073709551615"]),
            program.pick(&["true", "false", "1"]),
        ),
        1 => write!(
            to,
            "\"dam\":\"loom\",\"ask\":\"diff\",\"loom\":{{\"from\":{number},\"first\":{},\"diff\":\"{}\"}}",
            program.pick(&["true", "false", "null"]),
            negentropy(program),
        ),
        2 => write!(
            to,
            "\"dam\":\"loom\",\"ask\":\"items\",\"loom\":{{\"items\":\"{}\"}}",
            briefs(program),
        ),
        _ => {
            to.push_str("\"dam\":\"loom\",\"ask\":\"take\",");
            put(to, program, context);
            Ok(())
        }
    };
}

/// What it answers.
fn loom_answer(to: &mut String, program: &mut Program<'_>, context: &Context<'_>) {
    let question = id(program, context);
    let number = loom_number(program, context);
    let _ = write!(to, "\"@\":{question},\"dam\":\"loom\",");
    let _ = match program.below(4) {
        0 => write!(
            to,
            "\"root\":\"{}\",\"count\":{},\"loom\":{{\"latest\":{number},\"since\":{}}}",
            program.pick(&["00", "11"]),
            program.pick(&["0", "1", "5000", "18446744073709551615"]),
            loom_number(program, context),
        ),
        1 => write!(to, "\"loom\":{{\"diff\":\"{}\"}}", negentropy(program)),
        2 => {
            let done = program.pick(&["0", "1", "9", "18446744073709551615", "-1"]);
            let _ = write!(to, "\"loom\":{{\"done\":{done}}},");
            put(to, program, context);
            Ok(())
        }
        _ => write!(
            to,
            "\"loom\":{{\"refused\":{}}}",
            program.pick(&["0", "1", "18446744073709551615"]),
        ),
    };
}

fn loom_number(program: &mut Program<'_>, context: &Context<'_>) -> String {
    match program.rarely(3) {
        true => "null".to_owned(),
        false => state(program, context),
    }
}

/// The first byte is the version of negentropy that is spoken; the rest may be anything.
fn negentropy(program: &mut Program<'_>) -> String {
    let mut message = vec![if program.rarely(16) { 0x62 } else { 0x61 }];
    message.extend_from_slice(program.bytes());
    STANDARD_NO_PAD.encode(message)
}

/// Names of items, most often of the right length.
fn briefs(program: &mut Program<'_>) -> String {
    let mut names = program.bytes().to_vec();
    if !program.rarely(8) {
        names.resize(names.len().next_multiple_of(BRIEF_BYTES), 0);
    }
    STANDARD_NO_PAD.encode(names)
}

fn cursor(program: &mut Program<'_>) -> String {
    match program.below(4) {
        0 => "null".to_owned(),
        1 => program
            .pick(&["[]", "[\"s\"]", "{}", "[\"s\",\"f\",1]"])
            .to_owned(),
        _ => format!("[{},{}]", program.pick(&SOULS), program.pick(&FIELDS)),
    }
}

fn id(program: &mut Program<'_>, context: &Context<'_>) -> String {
    let back = program.below(8);
    if program.rarely(2) && back < context.said.len() {
        return context.said[context.said.len() - 1 - back].clone();
    }
    program.pick(&IDS).to_owned()
}

/// As the line may do it, or a peer that wants to know.
fn damage(frame: &mut String, program: &mut Program<'_>) {
    let mut bytes = std::mem::take(frame).into_bytes();
    if !bytes.is_empty() {
        let at = usize::from(program.wide()) % bytes.len();
        match program.below(4) {
            0 => bytes.truncate(at),
            1 => bytes[at] = program.byte(),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, program.pick(b"\"{}[],:\\0-#@")),
        }
    }
    *frame = String::from_utf8_lossy(&bytes).into_owned();
}
