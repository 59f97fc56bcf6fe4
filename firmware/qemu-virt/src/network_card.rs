//! A virtio network card for embassy-net.

use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use virtio_drivers::device::net::{RxBuffer, VirtIONet};
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::mmio::MmioTransport;

use crate::machine::{Flat, device};

type Virtio = VirtIONet<Flat, MmioTransport<'static>, 8>;

/// The card.
pub(crate) struct Card(RefCell<Virtio>);

/// A frame of Ethernet, and virtio's header before it.
const FRAME: usize = 1_514;
const BUFFER: usize = 2_048;

impl Card {
    pub(crate) fn find() -> Option<Self> {
        VirtIONet::new(device(DeviceType::Network)?, BUFFER).ok().map(|card| Self(RefCell::new(card)))
    }
}

impl Driver for Card {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        let frame = {
            let mut card = self.0.borrow_mut();
            if !card.can_send() {
                return None;
            }
            card.receive().ok()?
        };
        Some((Received { card: &self.0, frame }, Room(&self.0)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room<'_>> {
        self.0.borrow().can_send().then_some(Room(&self.0))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.0.borrow().mac_address())
    }
}

/// A frame that came.
pub(crate) struct Received<'a> {
    card: &'a RefCell<Virtio>,
    frame: RxBuffer,
}

impl embassy_net_driver::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, take: F) -> R {
        let result = take(self.frame.packet_mut());
        if self.card.borrow_mut().recycle_rx_buffer(self.frame).is_err() {
            log::warn!("qemu: the network card lost a buffer");
        }
        result
    }
}

/// Room for a frame to send.
pub(crate) struct Room<'a>(&'a RefCell<Virtio>);

impl embassy_net_driver::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut card = self.0.borrow_mut();
        let mut frame = card.new_tx_buffer(length);
        let result = fill(frame.packet_mut());
        if card.send(frame).is_err() {
            log::warn!("qemu: a frame could not be sent");
        }
        result
    }
}
