// MQTT.js 5.
const mqtt = require("mqtt");

const CA_PEM = `@ca@`;

const client = mqtt.connect(@"url"@, {
  ca: CA_PEM,
  servername: @"sni"@,
  ALPNProtocols: [@"alpn"@],
  clientId: @"client_id"@,
  username: @"user_name"@,
  password: @password@,
  keepalive: @keep_alive@,
});
// QoS 0 or 1. Subscribe to @"subscribe"@.
client.on("connect", () => client.publish(@"publish"@, "hello", { qos: 1 }, () => client.end()));
