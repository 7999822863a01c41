//! The REST API: the router, drawn as a table of method, path and handler.
//!
//! [`router`] is the door. Handlers check what they are given, hand the replica a command and turn
//! its answer into JSON; none of them knows how records are kept. `docs/api.md` describes every
//! route for people, `openapi.json` for programs.

mod answer;
mod app;
mod body;
mod bulk;
mod changes;
mod error;
mod faults;
mod health;
mod layer;
mod openapi;
mod params;
mod records;

use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Router, middleware};

pub use self::app::{App, AppConfig};
pub use self::error::ApiError;
use crate::record::Table;

/// One line of the table.
struct Route {
    method: Method,
    path: &'static str,
    handler: MethodRouter<App>,
}

fn routes() -> Vec<Route> {
    use Table::{Edges, Nodes};
    let [get, post, put] = [Method::GET, Method::POST, Method::PUT];
    let mut routes = vec![
        route(&get, "/", health::hello),
        route(&get, "/health", health::health),
        route(&get, "/stats", health::stats),
        route(&post, "/stats/reset", health::reset_stats),
        route(&get, "/history", health::history),
        route(&post, "/history/clear", health::clear_history),
        route(&get, "/digest", health::digest),
        route(&get, "/metrics", health::metrics),
        route(&get, "/openapi.json", openapi::show),
        route(&post, "/shutdown", health::shutdown),
        route(&put, "/canary", health::canary),
        route(&get, "/changes", changes::follow),
        route(&get, "/nodes/{id}/edges", records::edges_of),
    ];
    for (table, all, bulk, one) in [
        (Nodes, "/nodes", "/nodes/bulk", "/nodes/{id}"),
        (Edges, "/edges", "/edges/bulk", "/edges/{id}"),
    ] {
        routes.extend([
            route(&get, all, move |app, params| {
                records::list(table, app, params)
            }),
            route(&post, all, move |app, params, headers, body| {
                records::post(table, app, params, headers, body)
            }),
            route(&post, bulk, move |app, params, request| {
                bulk::post(table, app, params, request)
            }),
        ]);
        routes.extend(routes_of_one(table, one));
    }
    routes
}

/// What is there only where the node was started with `--fault-api`.
fn fault_routes() -> [Route; 1] {
    [route(&Method::POST, "/faults/clock", faults::set_clock)]
}

/// What can be done to one record at `path`.
fn routes_of_one(table: Table, path: &'static str) -> [Route; 4] {
    let [get, put, patch, delete] = [Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
    [
        route(&get, path, move |app, id| records::get(table, app, id)),
        route(&put, path, move |app, id, params, headers, body| {
            records::put(table, app, id, params, headers, body)
        }),
        route(&patch, path, move |app, id, body| {
            records::patch(table, app, id, body)
        }),
        route(&delete, path, move |app, id| {
            records::delete(table, app, id)
        }),
    ]
}

fn route<H, T>(method: &Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("the table has plain methods");
    Route {
        method: method.clone(),
        path,
        handler: on(filter, handler),
    }
}

/// The whole API.
pub fn router(app: App) -> Router {
    let mut router = Router::new();
    // A record may be called "bulk", and only POST means something else there.
    let called_bulk = [(Table::Nodes, "/nodes/bulk"), (Table::Edges, "/edges/bulk")];
    let called_bulk = called_bulk.map(|(table, path)| routes_of_one(table, path));
    let all = routes()
        .into_iter()
        .chain(called_bulk.into_iter().flatten());
    let faults = fault_routes().into_iter();
    let all = all.chain(faults.filter(|_| app.config().faults.is_some()));
    for Route { path, handler, .. } in all {
        router = router.route(path, handler);
    }
    router
        .fallback(
            |method: Method, uri: Uri| async move { ApiError::no_such_route(&method, uri.path()) },
        )
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            ApiError::method_not_allowed(&method, uri.path())
        })
        .layer(middleware::from_fn_with_state(app.clone(), layer::around))
        .with_state(app)
}
