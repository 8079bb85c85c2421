//! What every store must do, as async test functions over an empty store.
//!
//! [`store_suite!`](crate::store_suite!) makes a `#[tokio::test]` of each, so that a failure names the promise that was
//! broken.

pub mod accounts;
pub mod concurrency;
pub mod credits;
pub mod identities;
pub mod installation;
pub mod invitations;
pub mod journal;
pub mod keys;
pub mod lists;
pub mod members;
pub mod permits;
pub mod privacy;
pub mod prompts;
pub mod usage;
pub mod workspaces;

/// Makes a test of every function of the suite. `$empty` is an async function that returns
/// `(Arc<impl Store>, guard)`: an empty store, and whatever must live as long as it.
///
/// The calling crate needs `tokio` with `macros` and `rt-multi-thread` among its dev-dependencies.
#[macro_export]
macro_rules! store_suite {
    ($empty:path) => {
        $crate::store_suite! { $empty =>
            keys::created_as_asked
            keys::every_change_is_kept
            keys::secrets_beyond_the_kept_ones_are_forgotten
            keys::refusals_change_nothing
            keys::numbers_are_never_used_again
            keys::the_key_count_follows
            keys::bulk_revocation
            keys::bulk_revocation_has_a_cap
            keys::redigest
            keys::incidents
            installation::set_up_once
            installation::set_up_without_a_workspace
            installation::workspaces
            installation::members
            installation::plans
            installation::catalogue
            installation::operators
            installation::checkpoints
            installation::writable_until_closed
            lists::pages
            lists::filters_agree_with_the_rules
            lists::workspaces_by_slug
            accounts::sessions
            accounts::session_room
            accounts::sessions_follow_memberships
            accounts::attempts
            invitations::invitations
            invitations::invitations_are_kept
            invitations::invitations_stay_within_the_inviter
            invitations::passwords
            invitations::second_factors
            invitations::credentials_are_erased
            members::roles_and_permissions
            members::ownership
            members::nobody_gives_more_than_they_have
            members::when_a_member_leaves
            members::keys_are_handed_over
            members::service_accounts
            identities::people_whom_providers_know
            identities::people_join_workspaces
            journal::the_log_adds_up_to_the_state
            journal::the_log_has_no_gaps_and_the_newest_states
            journal::every_change_has_one_audit_entry
            journal::repetitions_leave_no_trace
            journal::audit_pages
            journal::idempotency
            journal::idempotency_expires
            privacy::people_are_found
            privacy::personal_data_comes_back
            privacy::nothing_to_wrap_anew
            privacy::a_person_opts_out_of_collection
            privacy::consents
            privacy::retention
            privacy::an_erased_person_is_gone_and_the_chain_verifies
            permits::a_permit_for_something_else_is_refused
            prompts::versions
            prompts::context_items
            prompts::prompt_pages
            prompts::served_as_of
            prompts::prompts_of_an_erased_person_go
            usage::rollups
            usage::batches_count_once
            usage::large_batches_count_once
            usage::last_use
            usage::the_ledger
            usage::recent_cost
            workspaces::renamed
            workspaces::deleted_and_restored
            workspaces::purged
            workspaces::purged_in_steps
            workspaces::origins
            workspaces::idle_keys
            credits::grants
            credits::reservations
            credits::sweeps
            credits::slices
            credits::everybody_at_once
            credits::permits
            concurrency::creates_at_once
            concurrency::changes_of_one_key_at_once
            concurrency::load_and_log_meet
        }
    };
    ($empty:path => $($module:ident::$test:ident)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (store, _guard) = $empty().await;
            $crate::store_suite::$module::$test(store).await;
        }
    )+};
}
