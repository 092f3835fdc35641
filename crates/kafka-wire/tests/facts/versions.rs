//! The facts that may differ between releases, on older ones.

use testkit::{ClusterOptions, GroupProtocol};

use crate::support::{Broker, PRODUCER_EXPIRY_MS, forgetting};
use crate::{appending, commits, endings, idempotence, logs, markers, negotiation};

/// `highest`: the highest version of `ApiVersions`;
/// `protocols`: those of groups that it has.
async fn facts_of_every_release(broker: &Broker, highest: i16, protocols: &[GroupProtocol]) {
    negotiation::unknown_versions_are_refused_in_version_0(broker, highest).await;
    negotiation::the_highest_version_is_answered_with_a_header_of_version_0(broker, highest).await;
    negotiation::our_client_follows_a_refusal(broker).await;
    idempotence::our_producer_gets_an_id(broker).await;
    appending::passed_through_batches_stay_byte_for_byte(broker).await;
    appending::other_base_offsets_are_refused(broker).await;
    appending::batches_with_holes_are_refused(broker).await;
    appending::wrong_maxima_are_corrected(broker).await;
    appending::wrong_deltas_are_not_noticed(broker).await;
    appending::two_batches_are_refused(broker).await;
    appending::delete_horizons_are_stored(broker).await;
    appending::transactional_bits_are_refused(broker).await;
    appending::compacted_topics_refuse(broker).await;
    appending::wrong_checksums_are_refused(broker).await;
    logs::fetches_end_with_the_segment(broker).await;
    idempotence::duplicates_are_recognised(broker).await;
    idempotence::epochs_are_bumped_by_the_client(broker).await;
    idempotence::strangers_start_anywhere(broker).await;
    logs::fillers_move_the_log_start(broker).await;
    markers::markers_fill_offsets(broker).await;
    // Releases from 4.0 on have others.
    markers::markers_in_versions(broker, 0..=1).await;
    markers::look_ups_by_time_land_early(broker).await;
    markers::the_last_outcome_hides_the_others(broker).await;
    markers::markers_for_no_topic(broker).await;
    commits::commits_of_non_members(broker, protocols).await;
    commits::what_is_checked(broker).await;
    endings::an_end_is_seen_behind_all_requests(broker).await;
}

#[tokio::test]
async fn kafka_3_9() {
    let options = forgetting(ClusterOptions::new().version("3.9.2"))
        .property("group.coordinator.rebalance.protocols", "classic,consumer");
    let broker = Broker::start(options).await;
    let protocols = [GroupProtocol::Classic, GroupProtocol::Consumer];
    facts_of_every_release(&broker, 4, &protocols).await;
    assert!(!appending::log_append_time_bit(&broker).await);
    assert!(!appending::times_ahead(&broker).await);
    idempotence::producers_are_forgotten_by_record_time(&broker).await;
    logs::retention_goes_by_record_time(&broker).await;
}

/// It has no limit of its own for the memory of producers, but that of transactional ids, and no setting for when the first
/// look at retention is, which is half a minute after the start.
#[tokio::test]
async fn kafka_2_8_refuses_the_append_time_bit() {
    let options = ClusterOptions::new()
        .version("2.8.2")
        .quick_retention()
        .property("transactional.id.expiration.ms", PRODUCER_EXPIRY_MS);
    let broker = Broker::start(options).await;
    facts_of_every_release(&broker, 3, &[GroupProtocol::Classic]).await;
    assert!(appending::log_append_time_bit(&broker).await);
    assert!(!appending::times_ahead(&broker).await);
    logs::retention_goes_by_record_time(&broker).await;
    idempotence::a_restart_forgets_by_record_time(&broker).await;
}
