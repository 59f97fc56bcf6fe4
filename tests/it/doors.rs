//! Ways in: TLS, ALPN, SNI, ports, domain configurations, MQTT over TLS and WebSocket, HTTPS, certificates.

mod domains;
mod half_open;
mod handshake;
mod http_cache;
mod https_publish;
mod matrix;
mod mqtt_connect;
mod raw_hello;
mod tls_errors;
mod websocket;
mod x509;
