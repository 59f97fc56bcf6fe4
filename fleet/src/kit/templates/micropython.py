# MicroPython 1.23 or later, umqtt.simple.
import ssl
from umqtt.simple import MQTTClient
from secrets import DEVICE_PASSWORD

CA_PEM = """@ca@"""

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations(cadata=CA_PEM)

client = MQTTClient(
    @"client_id"@,
    @"host"@,  # umqtt gives the host to the TLS library as the SNI
    port=@port@,
    user=@"user_name"@,
    password=@password@,
    keepalive=@keep_alive@,
    ssl=context,
)
client.connect()
client.publish(@"publish"@, b"hello", qos=1)
