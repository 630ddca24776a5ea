//! What every engine must do. Each function takes an empty index.

pub mod changes;
pub mod deletion;
pub mod find;
pub mod grace;
pub mod ingest;
pub mod keep;
pub mod labels;
pub mod members;
pub mod notes;
pub mod world;

/// Makes a `#[test]` of each function of the suite, with a factory of empty indexes.
macro_rules! conformance {
    ($factory:path: $($module:ident { $($name:ident),* $(,)? })*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                let held = $factory();
                crate::suite::$module::$name(held.index());
            })*
        })*
    };
}
pub(crate) use conformance;

/// The whole suite.
macro_rules! everything {
    ($factory:path) => {
        crate::suite::conformance! { $factory:
        ingest {
            a_new_instance_is_seen_at_all_levels,
            counters_follow_arrivals,
            the_same_bytes_again_change_nothing,
            other_bytes_are_kept_as_a_version_until_they_expire,
            a_superseding_instance_takes_the_place_of_the_old_one,
            always_replaces_even_the_same_bytes,
            a_uid_below_a_second_parent_is_stored_and_flagged,
            issuers_and_tenants_keep_patients_apart,
            an_entry_out_of_order_is_refused_and_changes_nothing,
            what_the_log_holds_nothing_up_to_is_covered_and_never_goes_back,
            the_status_of_a_series_follows_its_numbers,
                the_first_instance_announces_how_many_are_expected,
        }
        keep {
            a_resource_is_stable_once_its_quiet_was_told,
            what_is_below_is_told_before_what_it_is_in,
            quiet_is_not_told_if_something_arrived_meanwhile,
            stability_can_be_set,
            a_series_is_complete_when_all_that_it_announced_is_there,
            what_is_deleted_awaits_nothing,
            many_resources_become_quiet_in_their_order,
            the_oldest_patients_that_may_go_are_found,
        }
        changes {
            a_new_instance_is_told_from_below_each_level_once,
            pages_are_cut_by_since_to_limit_and_type,
            changes_of_deleted_resources_disappear_and_numbers_are_not_reused,
            events_are_told_of_live_resources,
        }
        deletion {
            a_deleted_resource_is_gone_at_every_level_at_once,
            deletion_keeps_counters_and_tells_the_remaining_ancestor,
            what_was_deleted_can_arrive_again_before_the_rows_are_gone,
            an_instance_goes_with_its_versions,
            versions_below_a_deleted_series_are_counted_off,
            a_large_purge_is_done_in_slices,
            what_is_live_in_each_unit_is_counted_until_its_rows_are_gone,
            blobs_lead_back_to_their_instances_whatever_became_of_them,
        }
        notes {
            metadata_is_what_was_put_last,
            attachments_are_counted_where_they_are_and_above,
            a_protected_patient_is_one_until_it_is_not,
            what_was_made_of_others_says_so_where_its_arrival_made_it,
            another_file_takes_over_what_users_noted_of_an_instance_and_no_more,
        }
        labels {
            labels_are_of_one_level_and_one_tenant,
            a_label_is_given_and_taken_once,
            labels_go_with_their_resource,
            a_label_that_lost_its_ground_is_told_until_it_is_recorded_again,
            an_instance_that_takes_the_place_of_another_has_its_labels,
            a_view_is_what_is_in_studies_with_its_label,
            deleted_labels_are_those_of_what_the_deletion_took,
        }
        members {
            members_come_series_by_series_in_the_order_of_their_numbers,
            members_are_located_until_their_rows_are_gone,
            uids_pick_what_they_name_and_nothing_else,
        }
        grace {
            what_was_deleted_seems_gone_and_stays_until_its_time_has_come,
            what_was_deleted_is_described_from_the_patient_down,
            an_erasure_ends_the_time_of_its_deletions_alone,
            deleted_instances_are_found_from_every_level,
            the_same_instance_can_be_deleted_again_and_again,
            kept_versions_come_behind_the_instance_that_was_current,
            what_uids_name_is_known_to_have_been_deleted_while_it_can_be_brought_back,
        }
        find {
            every_key_finds_what_a_look_at_each_resource_finds,
            deleted_resources_are_not_found,
            names_can_be_compared_with_case,
            pages_join_to_the_whole_in_the_asked_order,
            what_lacks_the_value_comes_last,
            parents_restrict_a_query,
            keys_that_are_not_indexed_are_named,
            answers_tell_counts_and_classes,
            keys_of_lower_levels_find_what_holds_a_resource_that_matches_all,
            texts_can_be_compared_without_case_and_accents,
            metadata_restrict_and_order_a_query,
            counts_can_be_keys,
            what_cannot_be_answered_as_asked_is_refused,
            a_search_ends_at_its_deadline_and_leaves_a_reader_that_works,
            objects_show_what_their_shape_says,
            first_instances_stand_for_what_they_are_in,
            values_are_those_of_the_resources_in_any_order_of_tags,
            instances_are_listed_below_resources_of_each_level,
            identifiers_are_looked_up_at_every_level,
        }
            }
    };
}
pub(crate) use everything;
