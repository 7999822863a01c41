//! Every backend is held to the promises written at `ClusterBackend`, by the same tests.
//!
//! One more backend is one more [`place::Place`] and one more line in `contract!`. The members are
//! real processes of this package's own executable, on free ports; those in containers need a Docker
//! engine, and are skipped without one.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod attached;
mod clocks;
mod engine;
mod links;
mod lives;
mod outside;
mod place;
mod ports;
mod remote;
mod storm;

use place::Place;

/// Runs each promise on each backend.
macro_rules! contract {
    ($($module:ident :: $promise:ident),+ $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let place = super::Place::local().await;
                super::$module::$promise(&place).await;
                place.end().await;
            })+
        }
        mod docker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(place) = super::Place::docker().await else {
                    return;
                };
                super::$module::$promise(&place).await;
                place.end().await;
            })+
        }
        mod over_a_socket {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let place = super::Place::attached().await;
                super::$module::$promise(&place).await;
                place.end().await;
            })+
        }
    };
}

contract! {
    lives::members_are_listed_in_order_with_what_is_known,
    lives::what_a_member_costs_is_known_while_it_runs,
    lives::start_returns_when_the_member_answers,
    lives::kill_is_a_power_cut_and_may_be_repeated,
    lives::stop_is_orderly_and_may_be_repeated,
    lives::a_restarted_member_keeps_its_address_and_its_data,
    lives::suspend_keeps_connections_open_and_silent,
    lives::a_suspended_member_can_be_killed_stopped_and_started,
    lives::resume_never_fails_and_suspend_needs_a_running_member,
    lives::wipe_needs_a_member_that_is_down_and_deletes_what_it_stored,
    lives::an_end_nobody_asked_for_is_an_event_with_its_status,
    lives::logs_are_in_a_file_and_at_hand,
    lives::a_member_that_is_not_there_is_refused_by_name,
    lives::nodes_find_a_relay_that_was_killed_and_started,
    links::nothing_crosses_a_cut_and_everything_arrives_after_it,
    links::a_cut_one_way_acts_one_way,
    links::a_cut_outlives_its_node,
    links::set_link_replaces_what_was_there,
    links::a_lease_that_runs_out_heals_and_says_so,
    links::a_lease_is_renewed_by_the_next_call,
    links::heal_ends_every_fault_and_leaves_the_dead_dead,
    links::the_relay_has_no_link_of_its_own,
    clocks::a_wrong_clock_outlives_its_node_and_ends_with_heal,
    clocks::a_clock_that_nobody_can_set_now_is_refused_and_stays_as_it_is,
    storm::wishes_in_any_order_are_settled_and_leave_a_cluster_that_works,
}
