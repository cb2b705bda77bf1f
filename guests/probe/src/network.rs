//! The network.

use crate::bindings::exports::ringfence::probe::probe::{End, Request};
use crate::bindings::wasi::http::outgoing_handler::handle;
use crate::bindings::wasi::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::bindings::wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::bindings::wasi::sockets::udp::OutgoingDatagram;
use crate::bindings::wasi::sockets::udp_create_socket::create_udp_socket;

pub fn send(request: Request) -> Option<()> {
    let headers = Fields::new();
    for (name, value) in &request.headers {
        // What is refused alone is left out: the rest is still to be tried.
        let _ = headers.append(name, value);
    }
    let outgoing = OutgoingRequest::new(headers);
    outgoing.set_method(&Method::Other(request.method)).ok()?;
    outgoing.set_scheme(Some(&scheme(request.scheme))).ok()?;
    outgoing.set_authority(Some(&request.authority)).ok()?;
    outgoing.set_path_with_query(Some(&request.path)).ok()?;
    if !request.body.is_empty() {
        let body = outgoing.body().ok()?;
        let stream = body.write().ok()?;
        let _ = stream.blocking_write_and_flush(request.body.get(..4096).unwrap_or(&request.body));
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(request.timeout_ns));
    let _ = options.set_first_byte_timeout(Some(request.timeout_ns));
    let _ = options.set_between_bytes_timeout(Some(request.timeout_ns));
    let answer = handle(outgoing, Some(options)).ok()?;
    answer.subscribe().block();
    let answer = answer.get()?.ok()?.ok()?;
    answer.consume().ok().map(drop)
}

fn scheme(text: String) -> Scheme {
    match text.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => Scheme::Other(text),
    }
}

pub fn look_up(name: &str) -> Option<()> {
    let lookup = resolve_addresses(&instance_network(), name).ok()?;
    lookup.subscribe().block();
    lookup.resolve_next_address().ok()?.map(drop)
}

pub fn connect_tcp(end: &End) -> Option<()> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).ok()?;
    socket.start_connect(&instance_network(), address(end)).ok()?;
    socket.subscribe().block();
    socket.finish_connect().ok().map(drop)
}

pub fn tune(number: u64) -> Option<()> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).ok()?;
    let small = u32::try_from(number).unwrap_or(u32::MAX);
    let [hops, ..] = number.to_le_bytes();
    let set = [
        socket.set_listen_backlog_size(number),
        socket.set_keep_alive_enabled(true),
        socket.set_keep_alive_idle_time(number),
        socket.set_keep_alive_interval(number),
        socket.set_keep_alive_count(small),
        socket.set_hop_limit(hops),
        socket.set_receive_buffer_size(number),
        socket.set_send_buffer_size(number),
    ];
    let port = u16::try_from(number).unwrap_or(u16::MAX);
    let any = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) });
    let bound = socket.start_bind(&instance_network(), any).and_then(|()| socket.finish_bind());
    let listens = bound.and_then(|()| socket.start_listen()).and_then(|()| socket.finish_listen());
    (listens.is_ok() || set.iter().any(Result::is_ok)).then_some(())
}

pub fn send_udp(end: &End) -> Option<()> {
    let socket = create_udp_socket(IpAddressFamily::Ipv4).ok()?;
    let any = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (0, 0, 0, 0) });
    socket.start_bind(&instance_network(), any).ok()?;
    socket.finish_bind().ok()?;
    let (_, outgoing) = socket.stream(None).ok()?;
    outgoing.check_send().ok()?;
    let datagram = OutgoingDatagram { data: vec![0], remote_address: Some(address(end)) };
    outgoing.send(&[datagram]).ok().map(drop)
}

fn address(end: &End) -> IpSocketAddress {
    let [a, b, c, d] = end.address.to_be_bytes();
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port: end.port, address: (a, b, c, d) })
}
