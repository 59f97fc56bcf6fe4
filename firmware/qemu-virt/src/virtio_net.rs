//! A virtio network card for embassy-net.

use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use virtio_drivers::device::net::{RxBuffer, VirtIONet};
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::mmio::MmioTransport;

use crate::board::{IdentityMapped, virtio_device};

type Device = VirtIONet<IdentityMapped, MmioTransport<'static>, 8>;

/// The network card.
pub(crate) struct VirtioNet(RefCell<Device>);

/// Bytes of an Ethernet frame, and of a buffer, which has virtio's header before the frame.
const FRAME_LEN: usize = 1_514;
const BUFFER_LEN: usize = 2_048;

impl VirtioNet {
    pub(crate) fn find() -> Option<Self> {
        VirtIONet::new(virtio_device(DeviceType::Network)?, BUFFER_LEN)
            .ok()
            .map(|card| Self(RefCell::new(card)))
    }
}

impl Driver for VirtioNet {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let frame = {
            let mut card = self.0.borrow_mut();
            if !card.can_send() {
                return None;
            }
            card.receive().ok()?
        };
        Some((RxToken { card: &self.0, frame }, TxToken(&self.0)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<TxToken<'_>> {
        self.0.borrow().can_send().then_some(TxToken(&self.0))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_LEN;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.0.borrow().mac_address())
    }
}

/// A received frame.
pub(crate) struct RxToken<'a> {
    card: &'a RefCell<Device>,
    frame: RxBuffer,
}

impl embassy_net_driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, take: F) -> R {
        let result = take(self.frame.packet_mut());
        if self.card.borrow_mut().recycle_rx_buffer(self.frame).is_err() {
            log::warn!("qemu: the network card lost a buffer");
        }
        result
    }
}

/// Space for a frame to send.
pub(crate) struct TxToken<'a>(&'a RefCell<Device>);

impl embassy_net_driver::TxToken for TxToken<'_> {
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
