//! The suite that defines the port: whatever passes it is a store.
//!
//! Each case is an async function of a fresh store; [`conformance_suite!`](crate::conformance_suite) makes a test of
//! each. [`history`] compares a store with another under random steps.
//!
//! To add a case: the function in the file of its noun, its name in the list of the macro (a test finds forgotten ones).

pub mod appending;
pub mod claiming;
pub mod concurrency;
pub mod documents;
pub mod fencing;
pub mod finding;
pub mod fixture;
pub mod following;
pub mod freshness;
pub mod grouping;
pub mod history;
pub mod isolation;
pub mod keeping;
pub mod listing;
pub mod loading;
pub mod ordering;
pub mod queries;
pub mod recording;
pub mod results;
pub mod searching;
pub mod selecting;
pub mod settings;
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
            several_tenants_are_one_step
            a_step_is_all_or_nothing
            a_key_is_taken_once_within_a_batch_and_across
            a_key_is_taken_until_it_is_swept
            an_empty_key_is_no_key
            a_unique_task_counts_those_alone_that_have_not_ended
            a_large_batch_is_one_step
            places_rise_although_the_clock_goes_back
            an_empty_batch_is_nothing
        ]);
        $crate::conformance_suite!(@module $make, recording: [
            a_recorded_lease_shows_its_task_running
            a_lease_recorded_again_changes_nothing
            a_lease_takes_the_place_of_another
            a_lease_given_back_leaves_no_trace
            leases_held_in_vain_are_told
            progress_is_there_for_the_next_attempt
            a_cancelled_lease_is_void
        ]);
        $crate::conformance_suite!(@module $make, settling: [
            a_completion_ends_its_task
            only_an_unfinished_task_can_be_ended
            a_failure_retries_or_ends
            a_snooze_spends_no_attempt
            a_task_named_twice_counts_once
            a_success_that_is_not_kept_leaves_its_count
            many_attempts_end_in_one_step
        ]);
        $crate::conformance_suite!(@module $make, following: [
            an_analysis_commits_with_its_task
            a_match_has_one_analysis
            a_completion_counts_although_its_match_is_gone
            follow_ups_commit_with_their_task
            follow_ups_of_several_tenants_come_in_order
        ]);
        $crate::conformance_suite!(@module $make, claiming: [
            a_board_has_all_shards
            a_free_shard_is_taken_once
            a_shard_whose_time_is_over_can_be_taken
            a_shard_is_renewed_by_its_owner
            a_shard_given_up_is_free_at_once
            a_shard_can_be_taken_by_force
            a_claim_is_one_step
            schedulers_are_listed_while_they_are_alive
        ]);
        $crate::conformance_suite!(@module $make, fencing: [
            a_passed_fence_changes_nothing_at_all
            a_fence_of_several_shards_needs_all
            a_fence_holds_until_the_shard_is_taken
            steps_of_a_tenant_need_no_fence
        ]);
        $crate::conformance_suite!(@module $make, keeping: [
            finished_tasks_are_kept_as_long_as_the_store_keeps_tasks
            a_success_is_kept_as_long_as_it_says
            a_sweep_is_bounded
            the_key_of_a_task_that_has_not_ended_stays
            a_revived_task_is_not_swept
        ]);
        $crate::conformance_suite!(@module $make, settings: [
            a_setting_is_replaced_by_its_name
            settings_are_read_by_shard
            settings_of_all_tenants_stand_beside_those_of_each
        ]);
        $crate::conformance_suite!(@module $make, steering: [
            only_unfinished_tasks_can_be_cancelled
            only_given_up_tasks_can_be_revived
            a_task_can_be_revived_again_and_again
            an_unfinished_task_moves_to_another_priority_and_keeps_its_place
            a_finished_task_has_no_priority_to_change
            an_unknown_task_cannot_be_steered
        ]);
        $crate::conformance_suite!(@module $make, selecting: [
            what_fits_a_filter_is_found_whatever_the_size_of_a_step
            unfinished_tasks_that_fit_are_cancelled_and_no_others
            given_up_tasks_that_fit_are_put_back_and_no_others
        ]);
        $crate::conformance_suite!(@module $make, listing: [
            tasks_page_newest_first_with_filters
            a_page_goes_on_although_tasks_are_added
            a_page_of_large_items_shows_fewer_and_hides_none
            tokens_of_other_listings_are_refused
            counts_follow_every_step
        ]);
        $crate::conformance_suite!(@module $make, finding: [
            tasks_are_found_in_any_state
            what_was_not_kept_is_found_by_its_key_alone
            what_is_not_the_tenants_is_not_found
        ]);
        $crate::conformance_suite!(@module $make, grouping: [
            a_group_comes_with_its_first_task
            every_end_counts_once
            what_is_put_back_is_open_again
            follow_ups_come_with_the_end_of_their_task
            tasks_of_a_removed_query_count_as_cancelled
            groups_page_by_name
            a_group_is_found_by_its_name
            a_group_that_has_ended_goes_in_time
            sixteen_callers_add_up
        ]);
        $crate::conformance_suite!(@module $make, loading: [
            queues_tell_how_many_wait
            the_last_place_is_behind_all_that_were_given
            a_queue_loads_in_order
            new_tasks_of_a_shard_load_in_order
            running_tasks_of_a_shard_load_in_order
            single_tasks_load_by_their_ids
            loads_are_bounded_in_bytes
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
            sixteen_callers_end_each_task_once
            a_lease_recorded_while_its_task_ends_leaves_no_trace
            a_task_is_cancelled_or_ended_not_both
            sixteen_callers_take_each_key_once
            sixteen_callers_store_the_same_documents_once
            readers_see_whole_steps_only
        ]);
        $crate::conformance_suite!(@module $make, ordering: [
            a_reader_that_goes_on_misses_no_task
            owners_that_take_a_shard_from_each_other_end_each_task_once
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
