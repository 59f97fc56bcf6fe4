// Arduino core for ESP32 3.x, PubSubClient.
#include <NetworkClientSecure.h>
#include <PubSubClient.h>
#include "secrets.h" // #define DEVICE_PASSWORD "..."

static const char *ALPN[] = {@"alpn"@, NULL};
static const char CA_PEM[] =
@ca_c@;

NetworkClientSecure tls;
PubSubClient mqtt(tls);

bool connectMqtt() {
  tls.setCACert(CA_PEM);
  tls.setAlpnProtocols(ALPN);
  mqtt.setServer(@"host"@, @port@); // the host is also the SNI
  mqtt.setKeepAlive(@keep_alive@);
  mqtt.setBufferSize(1024);
  return mqtt.connect(@"client_id"@, @"user_name"@, @password@);
}
// PubSubClient publishes with QoS 0. Publish to @"publish"@, subscribe with
// mqtt.subscribe(@"subscribe"@, 1).
