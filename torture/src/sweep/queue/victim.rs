//! The victim, which sends or receives.

use super::*;
use crate::trace::act;

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let scene = stage.scene();
    let queue = channel(scene, &stage.domain);
    match (scene.role, scene.operation) {
        ("sender", "attach") | ("participant", "create") => {
            stage.join()?;
            let sender = act(|| queue.sender())?.at("the victim attaches")?;
            stage.done(&[])?;
            drop(sender);
            stage.rest(&[])
        }
        ("receiver", "attach") => {
            stage.join()?;
            let mut receiver = act(|| queue.receiver())?.at("the victim attaches")?;
            stage.done(&[])?;
            let rest = take_all(&mut receiver)?;
            drop(receiver);
            stage.rest(&rest)
        }
        ("receiver", _) => victim_receives(stage, queue.receiver().at("the victim attaches")?),
        _ => victim_sends(stage, queue.sender().at("the victim attaches")?),
    }
}

fn victim_sends(stage: &Stage, mut sender: Sender<Message>) -> Check {
    if stage.scene().operation == SEND_AGAIN {
        sender.try_send(message(VICTIMS)).at("the victim sends its first")?;
    }
    stage.join()?;
    let sent: &[u64] = match stage.scene().operation {
        "send" => act(|| sender.try_send(message(VICTIMS)))?.map(|()| &[VICTIMS][..]).at("the victim sends")?,
        SEND_AGAIN => {
            act(|| sender.try_send(message(VICTIMS + 1)))?.map(|()| &[VICTIMS + 1][..]).at("the victim sends")?
        }
        "send-in-place" => {
            act(|| {
                sender.try_loan().map(|mut loan| {
                    *loan = message(VICTIMS);
                    loan.send();
                })
            })?
            .at("the victim sends")?;
            &[VICTIMS]
        }
        "loan-and-drop" => {
            act(|| sender.try_loan().map(drop))?.at("the victim takes a slot")?;
            &[]
        }
        LOAN_BATCH | LOAN_TOO_MANY => {
            let published = if stage.scene().operation == LOAN_BATCH { 2 } else { 1 };
            let sent = act(|| {
                sender.try_loan_batch(2).map(|mut batch| {
                    batch.iter_mut().zip(VICTIMS..).for_each(|(slot, number)| *slot = message(number));
                    batch.send_first(published)
                })
            })?
            .at("the victim sends")?;
            &[VICTIMS, VICTIMS + 1][..sent]
        }
        ON_FULL => match act(|| sender.send_timeout(message(VICTIMS), Duration::from_millis(1)))? {
            Err(SendTimeoutError::Timeout(_)) => &[],
            // It was stopped meanwhile, and others have made room.
            Ok(()) => &[VICTIMS],
            result => return Err(format!("the victim sends over a full channel: {result:?}")),
        },
        "send-batch" => {
            act(|| sender.send_batch([message(VICTIMS), message(VICTIMS + 1)]))?.at("the victim sends")?;
            &[VICTIMS, VICTIMS + 1]
        }
        _ => {
            act(|| drop(sender))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(sent)?;
    drop(sender);
    stage.rest(&[])
}

fn victim_receives(stage: &Stage, mut receiver: Receiver<Message>) -> Check {
    if stage.scene().operation == RECV_AGAIN {
        let first = receiver.try_recv().at("the victim receives its first")?;
        ensure(first == Some(message(BEFORE + 50)), || format!("the victim's first is {first:?}"))?;
    }
    stage.join()?;
    let received = match stage.scene().operation {
        "try-recv" | RECV_AGAIN => match act(|| receiver.try_recv())? {
            Err(TryRecvError::Empty) => None,
            received => received.at("the victim receives")?,
        }
        .map_or(Ok(Vec::new()), |received| number(received).map(|number| vec![number]))?,
        "recv-in-place" | GIVEN_UP => {
            let look = |receiver: &mut Receiver<Message>| match receiver.try_recv_ref() {
                Ok(Some(received)) => Ok(Some(*received)),
                Ok(None) | Err(TryRecvError::Empty) => Ok(None),
                Err(error) => Err(error),
            };
            let received = act(|| look(&mut receiver))?.at("the victim receives")?;
            received.map_or(Ok(Vec::new()), |received| number(received).map(|number| vec![number]))?
        }
        RECV_BATCH | BATCH_GIVEN_UP => {
            let mut received = [None; 2];
            act(|| match receiver.try_recv_batch_ref(2) {
                Ok(Some(batch)) => {
                    batch.iter().zip(&mut received).for_each(|(message, place)| *place = Some(*message));
                    Ok(())
                }
                Ok(None) | Err(TryRecvError::Empty) => Ok(()),
                Err(error) => Err(error),
            })?
            .at("the victim receives")?;
            received.into_iter().flatten().map(number).collect::<Check<_>>()?
        }
        "recv-batch" => {
            let mut batch = Vec::with_capacity(2);
            act(|| receiver.recv_batch(&mut batch, 2))?.at("the victim receives")?;
            batch.into_iter().map(number).collect::<Check<_>>()?
        }
        "recv-from-empty" => match act(|| receiver.recv_timeout(Duration::from_millis(1)))? {
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            received => vec![number(received.at("the victim receives")?.ok_or("an early end")?)?],
        },
        _ => {
            act(|| drop(receiver))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(&received)?;
    let rest = take_all(&mut receiver)?;
    drop(receiver);
    stage.rest(&rest)
}

/// Receives what there is.
fn take_all(receiver: &mut Receiver<Message>) -> Check<Vec<u64>> {
    let mut taken = Vec::new();
    loop {
        match receiver.try_recv() {
            Ok(Some(received)) => taken.push(number(received)?),
            Ok(None) | Err(TryRecvError::Empty) => return Ok(taken),
            Err(error) => return Err(format!("the victim goes on receiving: {error:?}")),
        }
    }
}
