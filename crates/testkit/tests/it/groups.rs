use std::time::Instant;

use testkit::{Commit, GroupProtocol, GroupRead, TransactionEnd};

use crate::{java, records};

#[tokio::test]
async fn commits_keep_their_metadata_and_are_listed() {
    let java = java().await;
    java.create_topic("groups-commit", 2, &[]).await.unwrap();
    let offsets = [
        Commit::new("groups-commit", 1, 7),
        Commit::new("groups-commit", 0, 3).metadata("état, \"5\"\n"),
    ];
    java.commit("groups-commit", &offsets).await.unwrap();
    let committed = java.committed("groups-commit").await.unwrap();
    let seen: Vec<_> = committed
        .iter()
        .map(|one| (one.partition, one.offset, one.metadata.as_str()))
        .collect();
    assert_eq!(seen, [(0, 3, "état, \"5\"\n"), (1, 7, "")]);
    assert_eq!(committed[0].leader_epoch, None);
    let listed = java.list_groups().await.unwrap();
    let listed = listed
        .iter()
        .find(|listed| listed.group == "groups-commit")
        .unwrap();
    assert_eq!(
        (listed.kind.as_deref(), listed.state.as_deref()),
        (Some("Classic"), Some("Empty"))
    );

    java.delete_committed("groups-commit", &[("groups-commit", 0)])
        .await
        .unwrap();
    assert_eq!(java.committed("groups-commit").await.unwrap().len(), 1);
    java.delete_group("groups-commit").await.unwrap();
    assert!(java.committed("groups-commit").await.unwrap().is_empty());
}

#[tokio::test]
async fn members_of_both_protocols_read_commit_and_leave() {
    let java = java().await;
    java.create_topic("groups-read", 1, &[]).await.unwrap();
    java.produce(&records("groups-read", 0, 20)).await.unwrap();
    for (protocol, kind) in [
        (GroupProtocol::Classic, "Classic"),
        (GroupProtocol::Consumer, "Consumer"),
    ] {
        let group = format!("groups-read-{kind}");
        let mut read = GroupRead::new(&group, protocol, "groups-read", 8);
        read.metadata = "by the member".into();
        let begin = Instant::now();
        let records = java.group_read(&read).await.unwrap();
        println!("a {kind} member read after {:?}", begin.elapsed());
        assert_eq!(
            records.iter().map(|record| record.offset).collect::<Vec<_>>(),
            (0..8).collect::<Vec<_>>()
        );
        let committed = java.committed(&group).await.unwrap();
        assert_eq!(
            (committed[0].offset, committed[0].metadata.as_str()),
            (8, "by the member")
        );
        assert_eq!(java.group_read(&read).await.unwrap()[0].offset, 8);
        let described = java.describe_group(&group).await.unwrap();
        assert_eq!(
            (described.kind.as_str(), described.state.as_str()),
            (kind, "Empty")
        );
    }
}

#[tokio::test]
async fn a_member_stays_until_it_leaves() {
    let java = java().await;
    java.create_topic("groups-member", 2, &[]).await.unwrap();
    java.produce(&records("groups-member", 0, 5)).await.unwrap();
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let group = format!("groups-member-{protocol:?}");
        let member = java
            .join_group(&group, protocol, &["groups-member"])
            .await
            .unwrap();
        let described = java.describe_group(&group).await.unwrap();
        assert_eq!(described.members.len(), 1);
        assert_eq!(described.members[0].member_id, member.member_id());
        assert_eq!(described.members[0].assigned.len(), 2);
        let refused = java
            .commit(&group, &[Commit::new("groups-member", 0, 2)])
            .await
            .unwrap_err();
        assert_eq!(refused.kafka_code(), Some(25), "{refused}");
        assert!(java.committed(&group).await.unwrap().is_empty());

        member.leave().await.unwrap();
        java.commit(&group, &[Commit::new("groups-member", 0, 2)])
            .await
            .unwrap();
        assert!(java.describe_group(&group).await.unwrap().members.is_empty());
        assert_eq!(
            java.next_record(&group, "groups-member", 0)
                .await
                .unwrap()
                .unwrap()
                .offset,
            2
        );
    }
}

#[tokio::test]
async fn what_a_group_reads_next_comes_from_its_position() {
    let java = java().await;
    java.create_topic("groups-next", 5, &[]).await.unwrap();
    for partition in [0, 1, 3] {
        java.produce(&records("groups-next", partition, 10))
            .await
            .unwrap();
    }
    let aborted = records("groups-next", 0, 4);
    java.transaction("groups-next", &aborted, TransactionEnd::Abort)
        .await
        .unwrap();
    java.produce(&records("groups-next", 0, 1)).await.unwrap();
    java.delete_records("groups-next", 3, 6).await.unwrap();
    let offsets =
        [(0, 10), (1, 10), (2, 0), (3, 5)].map(|(partition, at)| Commit::new("groups-next", partition, at));
    java.commit("groups-next", &offsets).await.unwrap();
    java.commit(
        "groups-next-2",
        &[
            Commit::new("groups-next", 1, 9),
            Commit::new("groups-next", 0, 99),
        ],
    )
    .await
    .unwrap();

    let one = |group, partition| (group, "groups-next", partition);
    let asked = [
        one("groups-next", 0),
        one("groups-next-2", 1),
        one("groups-next", 1),
        one("groups-next", 2),
        one("groups-next", 3),
        one("groups-next", 4),
        one("groups-next-2", 0),
        one("groups-next-unknown", 0),
    ];
    let next = java.next_records(&asked).await.unwrap();
    let seen: Vec<_> = next
        .iter()
        .map(|next| (next.committed, next.record.as_ref().map(|record| record.offset)))
        .collect();
    let behind_the_aborted = 15;
    assert_eq!(
        seen,
        [
            (Some(10), Some(behind_the_aborted)),
            (Some(9), Some(9)),
            (Some(10), None),
            (Some(0), None),
            (Some(5), None),
            (None, None),
            (Some(99), None),
            (None, None),
        ]
    );
    let out_of_range: Vec<bool> = next.iter().map(|next| next.out_of_range).collect();
    assert_eq!(
        out_of_range,
        [false, false, false, false, true, false, true, false]
    );
    assert_eq!(
        java.committed("groups-next").await.unwrap().len(),
        4,
        "asking commits nothing"
    );
}

#[tokio::test]
async fn hundreds_of_positions_are_asked_at_once() {
    let java = java().await;
    java.create_topic("groups-many", 10, &[]).await.unwrap();
    let all: Vec<_> = (0..10)
        .flat_map(|partition| records("groups-many", partition, 60))
        .collect();
    java.produce(&all).await.unwrap();
    let mut asked = Vec::new();
    for group in 0..60 {
        let name = format!("groups-many-{group}");
        let offsets: Vec<_> = (0..10)
            .map(|partition| Commit::new("groups-many", partition, (group + i64::from(partition)) % 60))
            .collect();
        java.commit(&name, &offsets).await.unwrap();
        asked.extend((0..10).map(|partition| (name.clone(), "groups-many", partition)));
    }
    let begin = Instant::now();
    let next = java.next_records(&asked).await.unwrap();
    println!("{} positions of 60 groups in {:?}", next.len(), begin.elapsed());
    assert_eq!(next.len(), 600);
    assert!(
        next.iter()
            .all(|next| next.record.as_ref().map(|record| record.offset) == next.committed)
    );
}
