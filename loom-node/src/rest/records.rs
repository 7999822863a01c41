//! Creating, reading, changing and listing records.

use axum::extract::State;
use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::answer;
use super::app::App;
use super::body::JsonBody;
use super::error::ApiError;
use super::params::{Params, RecordId};
use crate::index::Query;
use crate::limits::PAGE_RECORDS_MAX;
use crate::record::Table;
use crate::record::draft::Draft;
use crate::record::patch::Patch;
use crate::replica::{Command, Refused, Wish, Written};

/// `POST /nodes`: 201 when created, 200 when one with this id was replaced.
pub(super) async fn post(
    table: Table,
    State(app): State<App>,
    params: Params,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let if_absent = only_if_absent(params, &headers)?;
    let draft = Draft::read(table, None, body)?;
    write(&app, Wish::Put { draft, if_absent }).await
}

/// `PUT /nodes/{id}`: the same with the id in the path.
pub(super) async fn put(
    table: Table,
    State(app): State<App>,
    RecordId(id): RecordId,
    params: Params,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let if_absent = only_if_absent(params, &headers)?;
    let draft = Draft::read(table, Some(&id), body)?;
    write(&app, Wish::Put { draft, if_absent }).await
}

/// `PATCH /nodes/{id}`: JSON merge patch.
pub(super) async fn patch(
    table: Table,
    State(app): State<App>,
    RecordId(id): RecordId,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let patch = Patch::read(table, &id, body)?;
    write(&app, Wish::Patch { table, id, patch }).await
}

/// `DELETE /nodes/{id}`.
pub(super) async fn delete(
    table: Table,
    State(app): State<App>,
    RecordId(id): RecordId,
) -> Result<Response, ApiError> {
    write(&app, Wish::Delete { table, id }).await
}

/// `GET /nodes/{id}`.
pub(super) async fn get(
    table: Table,
    State(app): State<App>,
    RecordId(id): RecordId,
) -> Result<Response, ApiError> {
    let found = app
        .ask(|reply| Command::Get(table, id.clone(), reply))
        .await?;
    match found {
        Some(found) => Ok(answer::record(StatusCode::OK, &found)),
        None => Err(Refused::Missing { table, id }.into()),
    }
}

/// `GET /nodes`, `GET /edges`.
pub(super) async fn list(
    table: Table,
    State(app): State<App>,
    mut params: Params,
) -> Result<Response, ApiError> {
    let mut query = Query::all(table);
    query.kind = params.take("type")?;
    let mut known = "type, limit and cursor";
    if table == Table::Edges {
        query.from = params.take("from")?;
        query.to = params.take("to")?;
        known = "type, from, to, limit and cursor";
    }
    take_page(&mut params, &mut query)?;
    params.none_left(known)?;
    let page = app.ask(|reply| Command::List(query, reply)).await?;
    Ok(answer::page(table, page))
}

/// `GET /nodes/{id}/edges`: those that leave or enter it.
pub(super) async fn edges_of(
    State(app): State<App>,
    RecordId(id): RecordId,
    mut params: Params,
) -> Result<Response, ApiError> {
    let mut query = Query::all(Table::Edges);
    query.kind = params.take("type")?;
    let direction = params.take("direction")?;
    match direction.as_deref() {
        None | Some("both") => query.touching = Some(id.clone()),
        Some("out") => query.from = Some(id.clone()),
        Some("in") => query.to = Some(id.clone()),
        Some(_) => {
            let error = "direction must be out, in or both";
            return Err(ApiError::bad_request("invalid_parameter", error));
        }
    }
    take_page(&mut params, &mut query)?;
    params.none_left("type, direction, limit and cursor")?;
    let page = app.ask(|reply| Command::List(query, reply)).await?;
    // An edge may arrive before its ends: then the vertex is unknown and its edges are not.
    if page.found.is_empty() {
        let table = Table::Nodes;
        let vertex = app
            .ask(|reply| Command::Get(table, id.clone(), reply))
            .await?;
        if vertex.is_none() {
            return Err(Refused::Missing { table, id }.into());
        }
    }
    Ok(answer::page(Table::Edges, page))
}

fn take_page(params: &mut Params, query: &mut Query) -> Result<(), ApiError> {
    query.limit = params.take_parsed("limit", "a whole number from 1 to 10000", |limit| {
        (1..=PAGE_RECORDS_MAX).contains(limit)
    })?;
    query.after = params.take("cursor")?;
    Ok(())
}

/// `?if_absent=true` or `If-None-Match: *`.
pub(super) fn only_if_absent(mut params: Params, headers: &HeaderMap) -> Result<bool, ApiError> {
    let switch = params.take_switch("if_absent")?;
    params.none_left("if_absent")?;
    let Some(tags) = headers.get(IF_NONE_MATCH) else {
        return Ok(switch);
    };
    if tags.as_bytes().trim_ascii() == b"*" {
        return Ok(true);
    }
    let error = "If-None-Match takes only *, which means: refuse if it exists";
    Err(ApiError::bad_request("invalid_if_none_match", error))
}

async fn write(app: &App, wish: Wish) -> Result<Response, ApiError> {
    let written = app.ask(|reply| Command::Write(wish, reply)).await??;
    Ok(match written {
        Written::Created(found) => answer::record(StatusCode::CREATED, &found),
        Written::Replaced(found) => answer::record(StatusCode::OK, &found),
        Written::Deleted { id, stamp } => {
            let state = answer::state(stamp);
            answer::json(
                StatusCode::OK,
                &json!({"success": true, "id": id, "state": state}),
            )
        }
    })
}
