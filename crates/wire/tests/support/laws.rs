//! What must hold for any bytes whatever, honest or not.
#![expect(clippy::expect_used, reason = "a test may panic")]

use loky_wire::{
    Body, Decoder, Frame, Header, Kind, Part, Payload, Piece, Role, WireError, encode,
};

/// All that a decoder makes of a stream: the frames, and the error that ended them, if any.
pub type Verdict = (Vec<Frame>, Option<WireError>);

/// Decodes a stream that arrives in these chunks, holding the decoder to its laws on the way.
pub fn verdict_of<'a>(role: Role, chunks: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let mut decoder = Decoder::new(role);
    let mut frames = Vec::new();
    let mut pushed = 0;
    let mut cut = 0;
    for chunk in chunks {
        decoder.push(chunk);
        pushed += chunk.len();
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    assert_eq!(frame.body.len(), frame.header.len as usize);
                    cut += frame_bytes(&frame).len();
                    frames.push(frame);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next(), Err(error), "an error is final");
                    decoder.push(&[0; 64]);
                    assert_eq!(decoder.next(), Err(error), "an error outlives new bytes");
                    assert_eq!(decoder.end(), Err(error), "an error outlives the stream");
                    return (frames, Some(error));
                }
            }
        }
        assert_eq!(decoder.pending(), pushed - cut, "no byte is lost or made");
    }
    assert_eq!(decoder.end().is_ok(), decoder.pending() == 0);
    (frames, None)
}

/// The frame as it travels. The encoder must take whatever the decoder gave.
pub fn frame_bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(
        &Header {
            len: 0,
            ..frame.header
        },
        &[&frame.body],
        &mut bytes,
    )
    .expect("what was received can be sent");
    bytes
}

/// Holds one stream to all laws: frames are the stream's own bytes in order, and each body either
/// is refused or says the same thing when it is written again.
pub fn check_stream(role: Role, input: &[u8]) -> Verdict {
    let (frames, error) = verdict_of(role, [input]);
    let rewritten: Vec<u8> = frames.iter().flat_map(frame_bytes).collect();
    assert!(
        input.starts_with(&rewritten),
        "frames are the bytes that came"
    );
    for frame in &frames {
        assert!(
            role.admits(frame.header.kind),
            "no frame comes the wrong way"
        );
        check_bodies(frame);
    }
    (frames, error)
}

/// Asks a frame for every body there is: only that of its kind may be given.
pub fn check_bodies(frame: &Frame) {
    let kind = frame.header.kind;
    let of_kind = [
        (
            Kind::Task,
            frame
                .task_body()
                .map(|body| assert_eq!(written(&body), frame.body)),
        ),
        (
            Kind::Done,
            frame
                .done_body()
                .map(|body| assert_eq!(written(&body), frame.body)),
        ),
        (
            Kind::Spawn,
            frame
                .spawn_body()
                .map(|body| assert_eq!(written(&body), frame.body)),
        ),
        (
            Kind::Exited,
            frame
                .exited_body()
                .map(|body| assert_eq!(written(&body), frame.body)),
        ),
        (
            Kind::Unfit,
            frame
                .unfit_reason()
                .map(|text| assert_eq!(text.as_bytes(), frame.body)),
        ),
    ];
    for (owner, result) in of_kind {
        assert_eq!(
            result == Err(WireError::KindUnexpected { kind }),
            owner != kind
        );
    }
    if let Ok(payload) = frame.clone().into_payload() {
        check_payload(&payload);
    }
}

/// Parts are inside of their segments, and the pieces of a stream are all of it.
fn check_payload(payload: &Payload) {
    let segments = payload.segments();
    let is_inside = |part: &Part| {
        let segment = segments.get(part.segment as usize);
        let size = segment.expect("a part lies in a segment").size;
        assert!(
            part.extent.end().is_some_and(|end| end <= size),
            "a part is inside"
        );
    };
    payload.buffers().iter().for_each(is_inside);
    let mut inline = 0;
    for piece in payload.pieces() {
        match piece {
            Piece::Inline(len) => inline += len,
            Piece::Placed(part) => is_inside(part),
        }
    }
    let whole = payload.pieces().is_empty() || inline == payload.inline().len() as u64;
    assert!(whole, "no inline byte is lost or made");
}

fn written(body: &impl Body) -> Vec<u8> {
    body.check().expect("what was read can be written");
    let mut bytes = Vec::new();
    body.write(&mut bytes);
    assert_eq!(bytes.len(), body.encoded_len());
    bytes
}
