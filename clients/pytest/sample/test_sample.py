"""A small project's tests: what people write with the plugin."""

import paho.mqtt.client as mqtt
import pytest


def connect(latchkey, device, password=None):
    """The client and the reason code of its CONNACK, or None if the connection ended without one."""
    answers = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, device.client_id, protocol=mqtt.MQTTv5)
    client.username_pw_set(device.username, password or device.password)
    client.tls_set_context(latchkey.tls())
    client.on_connect = lambda client, userdata, flags, reason, properties: answers.append(reason)
    client.on_disconnect = lambda client, userdata, flags, reason, properties: answers.append(None)
    client.connect("localhost", latchkey.port)
    while not answers:
        client.loop(1)
    return client, answers[0]


def test_a_reading_arrives(latchkey, latchkey_device):
    client, answer = connect(latchkey, latchkey_device())
    assert answer == 0
    client.loop_start()
    client.publish(f"{client._client_id.decode()}/reading", "21.5", qos=1).wait_for_publish(10)
    client.disconnect()


def test_a_wrong_password_is_refused(latchkey, latchkey_device):
    _, answer = connect(latchkey, latchkey_device(), "wrong")
    assert answer is None or answer.is_failure


def test_a_disabled_device_is_out_at_its_next_refresh(latchkey, latchkey_device):
    device = latchkey_device()
    client, answer = connect(latchkey, device)
    assert answer == 0
    latchkey.disable(device.name)
    latchkey.advance(600)
    while client.loop(1) == mqtt.MQTT_ERR_SUCCESS:
        pass


@pytest.mark.parametrize("failure", ["error", None])
def test_faults_are_those_of_one_test(latchkey, latchkey_device, failure):
    latchkey.set_faults(function_failure=failure)
    _, answer = connect(latchkey, latchkey_device())
    assert (answer == 0) == (failure is None)
