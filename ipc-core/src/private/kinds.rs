//! What each kind of channel has to say to being private.

use super::{Description, Private};
use crate::broadcast::{Broadcast, Publisher, Subscriber};
use crate::error::OpenError;
use crate::latest::{Latest, Reader, Writer};
use crate::message::IpcMessage;
use crate::pipe::{Pipe, PipeEnd};
use crate::queue::{Queue, Receiver, Sender};
use crate::segment::{Access, PrivateSegment, Spec};
use crate::service::{Client, Server, Service};
use std::os::unix::net::UnixStream;

impl<T: IpcMessage + ?Sized> Description for Queue<T> {
    fn wish(&self) -> Result<Spec, OpenError> {
        self.spec()
    }

    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

impl<T: IpcMessage + ?Sized> Queue<T> {
    /// Makes a queue without a name, of this description. See [`private`](crate::private).
    ///
    /// The name is still used, to tell channels apart that go over one socket.
    ///
    /// # Errors
    ///
    /// As for [`sender`](Queue::sender).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        self.make()
    }

    /// Takes a queue over that another process [sends](Private::send_over). It waits as long as the socket is set to.
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if the socket brings something else, [`OpenError::NotASegment`] if what it brings is not sealed, not a
    /// segment, or of another name, [`OpenError::Kind`] if it is a channel of another kind, and [`OpenError::Mismatch`] if it
    /// carries another message.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        self.take(socket)
    }
}

impl<T: IpcMessage + ?Sized> Private<Queue<T>> {
    /// Opens the sending end.
    ///
    /// # Errors
    ///
    /// As for [`Queue::sender`].
    pub fn sender(&self) -> Result<Sender<T>, OpenError> {
        self.channel.sender()
    }

    /// Opens the receiving end.
    ///
    /// # Errors
    ///
    /// As for [`Queue::receiver`].
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError> {
        self.channel.receiver()
    }
}

impl<T: IpcMessage + ?Sized> Description for Broadcast<T> {
    fn wish(&self) -> Result<Spec, OpenError> {
        self.spec()
    }

    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

impl<T: IpcMessage + ?Sized> Broadcast<T> {
    /// Makes a broadcast without a name, of this description: as [`Queue::private`].
    ///
    /// # Errors
    ///
    /// As for [`publisher`](Broadcast::publisher).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        self.make()
    }

    /// Takes a broadcast over that another process [sends](Private::send_over): as [`Queue::receive_from`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        self.take(socket)
    }
}

impl<T: IpcMessage + ?Sized> Private<Broadcast<T>> {
    /// Hands a *lossy* broadcast to another process for [nothing but reading](crate::private#for-nothing-but-reading): it can
    /// subscribe, and not publish.
    ///
    /// # Errors
    ///
    /// [`OpenError::Unsupported`] if the broadcast is lossless: its subscribers say in the segment how far they are. Otherwise
    /// as for [`send_over`](Private::send_over).
    pub fn send_read_only_over(&self, socket: &UnixStream) -> Result<(), OpenError> {
        if !self.channel.is_lossy() {
            return Err(OpenError::Unsupported(
                "subscribers of a lossless broadcast write: make it lossy, or hand it over with `send_over`",
            ));
        }
        PrivateSegment::send_over(&self.segments, false, socket)
    }

    /// Opens a publishing end.
    ///
    /// # Errors
    ///
    /// As for [`Broadcast::publisher`], and [`OpenError::Unsupported`] if this process was handed the broadcast for nothing
    /// but reading.
    pub fn publisher(&self) -> Result<Publisher<T>, OpenError> {
        self.channel.publisher()
    }

    /// Opens a subscribing end.
    ///
    /// # Errors
    ///
    /// As for [`Broadcast::subscriber`].
    pub fn subscriber(&self) -> Result<Subscriber<T>, OpenError> {
        self.channel.subscriber()
    }
}

impl<T: IpcMessage> Description for Latest<T> {
    fn wish(&self) -> Result<Spec, OpenError> {
        self.spec()
    }

    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

impl<T: IpcMessage> Latest<T> {
    /// Makes a latest value without a name, of this description: as [`Queue::private`].
    ///
    /// # Errors
    ///
    /// As for [`writer`](Latest::writer).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        self.make()
    }

    /// Takes a latest value over that another process [sends](Private::send_over): as [`Queue::receive_from`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        self.take(socket)
    }
}

impl<T: IpcMessage> Private<Latest<T>> {
    /// Hands the value to another process for [nothing but reading](crate::private#for-nothing-but-reading): it can open
    /// readers, and no writer.
    ///
    /// # Errors
    ///
    /// As for [`send_over`](Private::send_over).
    pub fn send_read_only_over(&self, socket: &UnixStream) -> Result<(), OpenError> {
        PrivateSegment::send_over(&self.segments, false, socket)
    }

    /// Opens the writing end.
    ///
    /// # Errors
    ///
    /// As for [`Latest::writer`], and [`OpenError::Unsupported`] if this process was handed the value for nothing but reading.
    pub fn writer(&self) -> Result<Writer<T>, OpenError> {
        self.channel.writer()
    }

    /// Opens a reading end.
    ///
    /// # Errors
    ///
    /// As for [`Latest::reader`].
    pub fn reader(&self) -> Result<Reader<T>, OpenError> {
        self.channel.reader()
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Description for Service<Req, Rep> {
    fn wish(&self) -> Result<Spec, OpenError> {
        self.spec()
    }

    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Service<Req, Rep> {
    /// Makes a service without a name, of this description: as [`Queue::private`].
    ///
    /// # Errors
    ///
    /// As for [`client`](Service::client).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        self.make()
    }

    /// Takes a service over that another process [sends](Private::send_over): as [`Queue::receive_from`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        self.take(socket)
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Private<Service<Req, Rep>> {
    /// Opens an end that calls.
    ///
    /// # Errors
    ///
    /// As for [`Service::client`].
    pub fn client(&self) -> Result<Client<Req, Rep>, OpenError> {
        self.channel.client()
    }

    /// Opens an end that answers.
    ///
    /// # Errors
    ///
    /// As for [`Service::server`].
    pub fn server(&self) -> Result<Server<Req, Rep>, OpenError> {
        self.channel.server()
    }
}

impl<A: IpcMessage + ?Sized, B: IpcMessage + ?Sized> Pipe<A, B> {
    /// Makes a pipe without a name, of this description: as [`Queue::private`].
    ///
    /// # Errors
    ///
    /// As for [`left`](Pipe::left).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        let [right, left] = self.hardened_wishes()?;
        Ok(self.in_private([PrivateSegment::create(&right)?, PrivateSegment::create(&left)?]))
    }

    /// Takes a pipe over that another process [sends](Private::send_over): as [`Queue::receive_from`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        Ok(self.in_private(PrivateSegment::receive_from(socket, &self.hardened_wishes()?)?))
    }

    fn hardened_wishes(&self) -> Result<[Spec; 2], OpenError> {
        let (to_right, to_left) = self.queues();
        Ok([to_right.hardened_wish()?, to_left.hardened_wish()?])
    }

    fn in_private(&self, segments: [PrivateSegment; 2]) -> Private<Self> {
        let mut channel = self.clone();
        let (to_right, to_left) = channel.queues_mut();
        to_right.lead_to(&segments[0]);
        to_left.lead_to(&segments[1]);
        Private { channel, segments: segments.into() }
    }
}

impl<A: IpcMessage + ?Sized, B: IpcMessage + ?Sized> Private<Pipe<A, B>> {
    /// Takes the left end.
    ///
    /// # Errors
    ///
    /// As for [`Pipe::left`].
    pub fn left(&self) -> Result<PipeEnd<A, B>, OpenError> {
        self.channel.left()
    }

    /// Takes the right end.
    ///
    /// # Errors
    ///
    /// As for [`Pipe::right`].
    pub fn right(&self) -> Result<PipeEnd<B, A>, OpenError> {
        self.channel.right()
    }
}
