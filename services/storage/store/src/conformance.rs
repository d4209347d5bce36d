//! The suite that defines the port: whatever passes it is a store.
//!
//! Each case is an async function of a fresh store; [`conformance_suite!`](crate::conformance_suite) makes a test of
//! each. [`history`] compares a store with another under random steps.
//!
//! To add a case: the function in the file of its noun, its name in the list of the macro (a test finds forgotten ones).

pub mod appending;
pub mod concurrency;
pub mod documents;
pub mod fixture;
pub mod freshness;
pub mod history;
pub mod isolation;
pub mod leasing;
pub mod listing;
pub mod queries;
pub mod results;
pub mod searching;
pub mod settling;
pub mod sources;
pub mod steering;
pub mod tenants;

/// Makes one `#[tokio::test]` of each case. The expression is evaluated in each test, in an async block; it gives an
/// `Arc<dyn Store>` of its own and whatever has to live as long, for example a folder.
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        $crate::conformance_suite!(@module $make, tenants: [
            a_store_names_itself_always_the_same
            a_tenant_is_created_once
            tenants_are_read_by_name_and_page_by_page
            keys_are_found_by_their_hash
            a_tenant_and_its_key_come_together_or_not_at_all
        ]);
        $crate::conformance_suite!(@module $make, queries: [
            a_query_is_put_once_and_raises_the_version
            a_query_set_is_sent_unless_it_is_known
            queries_page_by_name_while_others_are_added
            removing_a_query_removes_what_hangs_on_it
            a_removed_name_starts_anew
        ]);
        $crate::conformance_suite!(@module $make, sources: [
            a_source_is_put_once
            a_cursor_is_kept
            sources_page_by_name_while_others_are_added
            a_removed_source_is_gone_and_its_documents_stay
        ]);
        $crate::conformance_suite!(@module $make, documents: [
            a_document_reads_back_as_it_was
            any_text_reads_back_but_for_nul
            a_document_is_stored_once
            a_match_makes_one_task
            a_new_query_matches_documents_that_are_there
            stale_queries_are_refused
            an_unknown_query_refuses_the_whole_batch
            a_task_that_is_known_by_key_is_not_made_again
            a_batch_of_a_thousand_is_one_step
        ]);
        $crate::conformance_suite!(@module $make, results: [
            results_of_a_query_are_best_first
            results_of_all_queries_are_newest_first
            results_page_by_key_while_others_are_added
            an_unknown_query_has_no_results
        ]);
        $crate::conformance_suite!(@module $make, searching: [
            all_words_must_occur
            phrases_and_prefixes_narrow_and_widen
            case_and_accents_do_not_count
            hostile_text_is_words_or_refused
            titles_come_first_and_then_the_newest
            hits_page_by_key_while_others_are_added
            a_snippet_shows_the_word_found
        ]);
        $crate::conformance_suite!(@module $make, appending: [
            tasks_are_stored_in_order_and_read_back
            the_same_append_again_stores_nothing
            a_key_is_taken_once_also_within_a_batch_and_for_ever
            an_empty_key_is_no_key
            a_task_refused_for_its_id_takes_no_key
            a_batch_is_all_or_nothing
            an_empty_batch_is_nothing
        ]);
        $crate::conformance_suite!(@module $make, leasing: [
            a_waiting_task_is_leased_once
            a_lease_can_be_renewed_while_it_is_valid
            a_released_task_waits_as_if_never_started
            the_first_of_two_grants_wins
        ]);
        $crate::conformance_suite!(@module $make, settling: [
            a_completion_counts_once_and_under_its_token_only
            a_failure_retries_or_ends
            an_expired_lease_is_taken_back_without_racing_its_renewal
            an_ended_lease_still_counts_until_it_is_taken_back
            an_analysis_commits_with_its_task
            a_match_has_one_analysis
            a_completion_counts_although_its_match_is_gone
            follow_ups_commit_with_their_task
            a_settle_is_all_or_nothing
            one_attempt_settled_twice_in_a_batch_counts_once
        ]);
        $crate::conformance_suite!(@module $make, steering: [
            only_unfinished_tasks_can_be_cancelled
            a_cancelled_lease_is_void
            only_given_up_tasks_can_be_revived
            an_unknown_task_cannot_be_steered
        ]);
        $crate::conformance_suite!(@module $make, listing: [
            tasks_page_newest_first_with_filters
            a_page_goes_on_although_tasks_are_added
            a_page_of_large_items_shows_fewer_and_hides_none
            tokens_of_other_listings_are_refused
            queues_tell_how_many_wait
            waiting_tasks_load_by_queue_in_order
            new_and_running_tasks_load_in_order
            counts_follow_every_step
        ]);
        $crate::conformance_suite!(@module $make, isolation: [
            a_tenant_never_sees_another
            a_tenant_cannot_change_another
            an_unknown_tenant_reads_as_empty_and_cannot_write
            two_tenants_may_have_the_same
        ]);
        $crate::conformance_suite!(@module $make, freshness: [
            a_read_sees_what_was_acknowledged_before_its_position
        ]);
        $crate::conformance_suite!(@module $make, concurrency: [
            sixteen_callers_lease_and_settle_each_task_once
            sixteen_callers_store_the_same_documents_once
            readers_see_whole_steps_only
        ]);
    };
    (@module $make:expr, $module:ident: [$($case:ident)*]) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let (store, _guard) = $make;
                    $crate::conformance::$module::$case(store).await;
                }
            )*
        }
    };
}
