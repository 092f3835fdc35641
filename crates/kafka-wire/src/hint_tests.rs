use bytes::Bytes;

use super::*;

const ID: [u8; 16] = [7; 16];

fn leader(node: i32, epoch: i32) -> Option<CurrentLeader> {
    Some(CurrentLeader { node, epoch })
}

fn endpoint(node: i32, host: &str, port: i32) -> Vec<u8> {
    let mut bytes = node.to_be_bytes().to_vec();
    bytes.push(host.len() as u8 + 1);
    bytes.extend(host.as_bytes());
    bytes.extend(port.to_be_bytes());
    // No rack, no tagged fields.
    bytes.extend([0, 0]);
    bytes
}

fn read(count: u8, endpoints: &[Vec<u8>], most: usize) -> Result<Vec<NodeEndpoint>, Malformed> {
    let field = [&[count + 1][..], &endpoints.concat()].concat();
    NodeEndpoint::read_all(&mut Reader::new(Bytes::from(field), true), most)
}

#[test]
fn a_hint_is_made_of_a_leader_and_where_it_listens() {
    let endpoints = read(2, &[endpoint(1, "a", 9092), endpoint(2, "::1", 9093)], 9).unwrap();
    let hint = LeaderHint::of(
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        Some(ID),
        leader(2, 6),
        &endpoints,
    )
    .unwrap();
    assert_eq!((hint.topic_id, hint.node, hint.epoch), (ID, 2, 6));
    assert_eq!(hint.address.unwrap().to_string(), "[::1]:9093");
    let elsewhere =
        LeaderHint::of(ErrorCode::FENCED_LEADER_EPOCH, Some(ID), leader(3, 6), &endpoints).unwrap();
    assert_eq!((elsewhere.node, elsewhere.address), (3, None));
}

#[test]
fn only_a_refusal_because_of_a_move_is_a_hint_and_only_about_a_topic_by_its_id() {
    let moved = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert!(LeaderHint::of(moved, Some(ID), leader(2, 6), &[]).is_some());
    assert!(LeaderHint::of(moved, None, leader(2, 6), &[]).is_none());
    assert!(LeaderHint::of(moved, Some([0; 16]), leader(2, 6), &[]).is_none());
    assert!(LeaderHint::of(moved, Some(ID), None, &[]).is_none());
    for code in [-1, 1, 3, 5, 7, 56, 75, 76, 78, 100, 103] {
        let code = ErrorCode::new(code).unwrap();
        assert!(
            LeaderHint::of(code, Some(ID), leader(2, 6), &[]).is_none(),
            "{code}"
        );
    }
}

#[test]
fn a_negative_leader_or_epoch_is_none() {
    for (node, epoch, is_one) in [
        (2, 6, true),
        (0, 0, true),
        (-1, 6, false),
        (2, -1, false),
        (-1, -1, false),
    ] {
        let field = [&i32::to_be_bytes(node)[..], &i32::to_be_bytes(epoch), &[0]].concat();
        let read = CurrentLeader::read(&mut Reader::new(Bytes::from(field), true)).unwrap();
        assert_eq!(read, leader(node, epoch).filter(|_| is_one));
    }
}

#[test]
fn endpoints_that_cannot_be_connected_to_are_left_out() {
    let long = "x".repeat(254);
    let endpoints = [
        endpoint(1, "", 9092),
        endpoint(2, "b", 0),
        endpoint(3, "c", 65_536),
        endpoint(4, "d", -1),
        endpoint(5, "e", 65_535),
    ];
    let kept = read(5, &endpoints, 9).unwrap();
    assert_eq!(kept.iter().map(|endpoint| endpoint.node).collect::<Vec<_>>(), [5]);
    assert!(NodeEndpoint::new(1, &[0xff, 0xfe], 9092).is_none());
    assert!(NodeEndpoint::new(1, long.as_bytes(), 9092).is_some());
    assert!(NodeEndpoint::new(1, "x".repeat(256).as_bytes(), 9092).is_none());
}

#[test]
fn no_more_endpoints_are_kept_than_were_partitions_answered() {
    let endpoints: Vec<_> = (0..9).map(|node| endpoint(node, "h", 9092)).collect();
    for most in 0..12 {
        assert_eq!(read(9, &endpoints, most).unwrap().len(), most.min(9));
    }
}

#[test]
fn cut_or_hostile_fields_are_errors() {
    let whole = [&[3][..], &endpoint(1, "a", 9092), &endpoint(2, "b", 9093)].concat();
    for length in 0..whole.len() {
        let cut = Bytes::copy_from_slice(&whole[..length]);
        assert!(
            NodeEndpoint::read_all(&mut Reader::new(cut, true), 9).is_err(),
            "{length}"
        );
    }
    for length in 0..9 {
        let cut = Bytes::from(vec![0; length]);
        assert!(
            CurrentLeader::read(&mut Reader::new(cut, true)).is_err(),
            "{length}"
        );
    }
    // Four thousand million endpoints, and a host that is as long.
    let many = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0]);
    assert!(NodeEndpoint::read_all(&mut Reader::new(many, true), usize::MAX).is_err());
    let host = [&[2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 20]].concat();
    assert!(NodeEndpoint::read_all(&mut Reader::new(Bytes::from(host), true), 9).is_err());
}
