/* The connection of one device to AWS IoT Core. */
#ifndef LATCHKEY_DEVICE_H
#define LATCHKEY_DEVICE_H

#define LATCHKEY_HOST @"host"@
#define LATCHKEY_PORT @port@
#define LATCHKEY_ALPN @"alpn"@
#define LATCHKEY_SNI @"sni"@
#define LATCHKEY_CLIENT_ID @"client_id"@
#define LATCHKEY_USER_NAME @"user_name"@
/* Define DEVICE_PASSWORD in a file that is not in the repository. */
#define LATCHKEY_PASSWORD @password@
#define LATCHKEY_KEEP_ALIVE_SECONDS @keep_alive@
#define LATCHKEY_MAX_QOS 1
#define LATCHKEY_PUBLISH_TOPIC @"publish"@
#define LATCHKEY_SUBSCRIBE_FILTER @"subscribe"@

/* The trusted roots, as PEM. */
static const char LATCHKEY_CA_PEM[] =
@ca_c@;

#endif
