//! What must hold for any bytes as a frame: reading them never panics, and what was read says the
//! same when it is written again, by itself or with the two edits made on the way.

use bytes::Bytes;
use loom_relay::graph::Item;
use loom_relay::model::Write;
use loom_relay::wire::{
    self, AckRequest, Body, Dam, FieldQuery, Get, Id, LoomTalk, Message, SoulQuery, encode, loom,
};
use serde_json::value::RawValue;

pub(crate) fn check(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    let Ok(read) = wire::decode(&frame) else {
        return;
    };
    assert!(read.len() <= wire::MESSAGES_PER_FRAME_MAX);
    for message in read {
        match message {
            Ok(message) => check_message(&message),
            Err(refusal) => {
                let id = refusal.id.unwrap_or_else(|| Id::new("none"));
                let told = encode::refusal(&Id::new("r"), &id, &refusal.reason.to_string());
                let told = only(&told);
                assert_eq!(told.answers, Some(id));
                assert!(matches!(told.body, Body::Verdict));
            }
        }
    }
}

fn check_message(message: &Message) {
    let raw: Result<&RawValue, _> = serde_json::from_slice(&message.raw);
    assert!(raw.is_ok_and(|raw| raw.get().starts_with('{')));
    assert_same(message, &only(&message.raw));
    for id in [&message.id, &message.answers].into_iter().flatten() {
        check_id(id);
    }
    if message.id.is_none() {
        let id = Id::new("invented9");
        let named = only(&encode::with_id(&message.raw, &id));
        assert_eq!(named.id, Some(id));
        assert_eq!(named.answers, message.answers);
        // Where the request for acknowledgements stands has moved, and nothing else.
        assert_eq!(without_span(&named.body), without_span(&message.body));
    }
    let id = message.id.clone().unwrap_or_else(|| Id::new("own"));
    match &message.body {
        Body::Put { writes, ack } => {
            check_put(&id, message, writes);
            if let Some(ack) = ack {
                check_ack_request(message, ack);
            }
        }
        Body::Get(get) => check_get(&id, get),
        Body::Dam(Dam::Hello(hello)) => {
            if let Some(pid) = &hello.pid {
                let said = only(&encode::hello(&id, message.answers.as_ref(), pid));
                let Body::Dam(Dam::Hello(said)) = said.body else {
                    panic!("a greeting became {:?}", said.body);
                };
                assert_eq!(said.pid, hello.pid);
            }
        }
        Body::Dam(Dam::Loom(talk)) => check_loom_talk(&id, message, talk),
        Body::Dam(Dam::Complaint | Dam::Unknown) | Body::Verdict | Body::Other => {}
    }
}

fn check_id(id: &Id) {
    let found = only(&encode::not_found(id, id));
    assert_eq!(
        (found.id.as_ref(), found.answers.as_ref()),
        (Some(id), Some(id))
    );
    assert!(id.key().len() <= wire::ID_BYTES_MAX, "{id:?}");
}

fn check_put(id: &Id, message: &Message, writes: &[Write]) {
    for write in writes {
        assert_eq!(wire::check_write(write), Ok(()));
    }
    let graph = encode::graph(writes.iter().map(Item::of).collect());
    let frame = match &message.answers {
        Some(question) => encode::answer(id, question, &graph, true),
        None => encode::put(id, &graph),
    };
    // Numbers may print longer than they came; the mesh spreads what is large in pieces.
    if frame.len() > wire::FRAME_BYTES_MAX {
        return;
    }
    let again = only(&frame);
    assert_eq!(
        (again.id.as_ref(), &again.answers),
        (Some(id), &message.answers)
    );
    let Body::Put {
        writes: read,
        ack: None,
    } = &again.body
    else {
        panic!("a put became {:?}", again.body);
    };
    assert_eq!(sorted(read), sorted(writes));
    let again = encode::graph(read.iter().map(Item::of).collect());
    assert_eq!(again, graph, "one graph has one text");
}

fn check_ack_request(message: &Message, ack: &AckRequest) {
    let edited = only(&encode::with_ack_request(&message.raw, ack, 3));
    let Body::Put { ack: Some(now), .. } = &edited.body else {
        panic!("a put with a request became {:?}", edited.body);
    };
    assert_eq!(now.wanted, ack.wanted.max(1) - 1);
    assert_eq!(edited.id, message.id);
    assert_eq!(without_span(&edited.body), without_span(&message.body));
}

fn check_get(id: &Id, get: &Get) {
    if let (SoulQuery::Is(soul), FieldQuery::All) = (&get.soul, &get.field) {
        let Body::Get(again) = only(&encode::get(id, soul)).body else {
            panic!("a get became something else");
        };
        assert_eq!((&again.soul, &again.field), (&get.soul, &get.field));
    }
}

fn check_loom_talk(id: &Id, message: &Message, talk: &LoomTalk) {
    let to = || message.answers.as_ref().expect("only answers say these");
    let graph = |writes: &[Write]| encode::graph(writes.iter().map(Item::of).collect());
    let frame = match talk {
        LoomTalk::AskRoot { own: None } => loom::ask_root(id),
        LoomTalk::AskChunk { after } => loom::ask_chunk(id, after.as_ref()),
        LoomTalk::Chunk { writes, next } => {
            loom::tell_chunk(id, to(), &graph(writes), next.as_ref())
        }
        LoomTalk::AskDiff { from, first, diff } => loom::ask_diff(id, *from, *first, diff),
        LoomTalk::Diff { diff } => loom::tell_diff(id, to(), diff),
        LoomTalk::AskItems { wanted } => loom::ask_items(id, wanted.iter()),
        LoomTalk::Items { writes, done } => {
            let Ok(done) = usize::try_from(*done) else {
                return;
            };
            loom::tell_items(id, to(), &graph(writes), done)
        }
        LoomTalk::Give { writes } => loom::give(id, &graph(writes)),
        LoomTalk::Given { refused } => loom::given(id, to(), *refused),
        // Written from the root of a graph only; `mesh_inputs` sends those.
        LoomTalk::AskRoot { own: Some(_) } | LoomTalk::Root { .. } | LoomTalk::Unknown => return,
    };
    let Body::Dam(Dam::Loom(again)) = only(&frame).body else {
        panic!("{talk:?} became something else");
    };
    assert_eq!(in_order(talk), in_order(&again));
}

fn in_order(talk: &LoomTalk) -> String {
    let mut talk = talk.clone();
    if let LoomTalk::Chunk { writes, .. }
    | LoomTalk::Items { writes, .. }
    | LoomTalk::Give { writes } = &mut talk
    {
        writes.sort_by(|a, b| (&a.soul, &a.field).cmp(&(&b.soul, &b.field)));
    }
    format!("{talk:?}")
}

/// The one message of a frame of our own.
fn only(frame: &Bytes) -> Message {
    let mut read = wire::decode(frame).expect("our own frames are frames");
    assert_eq!(read.len(), 1);
    let message = read.pop().expect("there is one");
    message.unwrap_or_else(|refusal| panic!("our own message is refused: {}", refusal.reason))
}

fn assert_same(a: &Message, b: &Message) {
    assert_eq!(format!("{a:?}"), format!("{b:?}"));
}

fn without_span(body: &Body) -> String {
    match body {
        Body::Put { writes, .. } => format!("{writes:?}"),
        other => format!("{other:?}"),
    }
}

fn sorted(writes: &[Write]) -> Vec<&Write> {
    let mut sorted: Vec<_> = writes.iter().collect();
    sorted.sort_by(|a, b| (&a.soul, &a.field).cmp(&(&b.soul, &b.field)));
    sorted
}
