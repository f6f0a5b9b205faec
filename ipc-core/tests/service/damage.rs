//! Segments in which somebody with a bug has written.

use super::*;
use std::os::unix::fs::FileExt as _;

/// Writes into a channel's segment, as somebody with a bug might.
fn damage(domain: &Domain, channel: &str, at: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(domain.path(channel)).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// A number of the segment's header.
fn header(domain: &Domain, channel: &str, at: u64) -> u64 {
    let mut bytes = [0; 8];
    std::fs::File::open(domain.path(channel)).unwrap().read_exact_at(&mut bytes, at).unwrap();
    u64::from_ne_bytes(bytes)
}

#[test]
fn what_is_no_value_is_dropped_on_either_side() {
    let domain = Domain::new("invalid");
    let service = Resize::channel().domain(domain.name()).capacity(1);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    let slots = header(&domain, "resize", 104);
    let asked = Resize { width: 3, height: 4, is_square: false };
    // The flag is 8 bytes into the request.
    let call = client.submit(asked).unwrap();
    damage(&domain, "resize", slots + 16 + 8, &[2]);
    assert!(matches!(server.accept(), Err(AcceptError::Corrupt(Corrupt::Message(_)))));
    assert_eq!(call.wait(), Err(CallError::Dropped));
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: false });
    damage(&domain, "resize", slots + 64 + 8, &[2]);
    assert!(matches!(call.wait(), Err(CallError::Corrupt(None, Corrupt::Message(_)))));
    // And the service goes on.
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: true });
    assert_eq!(call.wait(), Ok(Resized { pixels: 12, is_large: true }));
}

#[test]
fn no_word_of_the_segment_brings_anybody_down() {
    let mut random = 0x9E37_79B9_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 20
    };
    for round in 0..40 {
        let domain = Domain::new(&format!("damage-{round}"));
        let service = Service::<Question, Answer>::new("questions").domain(domain.name()).capacity(2);
        let (client, server) = (service.client().unwrap(), service.server().unwrap());
        let (lines, total) = (header(&domain, "questions", 96), header(&domain, "questions", 112));
        for step in 0..50 {
            let patience = Duration::from_millis(1);
            // Damage may say that every slot is somebody's, and a slot is waited for as long as one asks.
            let call = client.submit_timeout(question(step), patience);
            // Any word behind the participants, or a likely value of one.
            let at = lines + next() % (total - lines) / 8 * 8;
            let value = if next() % 2 == 0 { next() % 8 } else { next() << 30 | next() };
            damage(&domain, "questions", at, &value.to_ne_bytes());
            while let Ok(Some(request)) = server.accept_timeout(patience) {
                let reply = [request[0]; 6];
                request.reply(reply);
            }
            let Ok(mut call) = call else { break };
            let _ = call.wait_timeout(patience);
        }
        drop((client, server));
        let _ = std::fs::remove_file(domain.path("questions"));
    }
}
