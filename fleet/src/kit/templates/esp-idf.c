// ESP-IDF 5, esp-mqtt. Menuconfig: mbedTLS with ALPN (CONFIG_MBEDTLS_SSL_ALPN).
#include "mqtt_client.h"
#include "secrets.h" // #define DEVICE_PASSWORD "..."

static const char *ALPN[] = {@"alpn"@, NULL};
static const char CA_PEM[] =
@ca_c@;

static const esp_mqtt_client_config_t mqtt_config = {
    .broker.address.hostname = @"host"@,
    .broker.address.port = @port@,
    .broker.address.transport = MQTT_TRANSPORT_OVER_SSL,
    .broker.verification.certificate = CA_PEM,
    .broker.verification.alpn_protos = ALPN,
    .broker.verification.common_name = @"sni"@, // also the SNI
    .credentials.client_id = @"client_id"@,
    .credentials.username = @"user_name"@,
    .credentials.authentication.password = @password@,
    .session.keepalive = @keep_alive@,
    .session.protocol_ver = MQTT_PROTOCOL_V_3_1_1,
};
// QoS 0 or 1. Publish to @"publish"@, subscribe to @"subscribe"@.
