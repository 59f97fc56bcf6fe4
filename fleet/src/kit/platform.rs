//! The platforms that `latchkey fleet kit` knows, and what each of them can't do.

use clap::ValueEnum;

/// A platform.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// ESP-IDF 5, in C
    EspIdf,
    /// The Arduino core for ESP32, with `PubSubClient`
    Arduino,
    /// `MicroPython`, with `umqtt.simple`
    Micropython,
    /// Tasmota
    Tasmota,
    /// `ESPHome`
    Esphome,
    /// zigbee2mqtt
    Zigbee2mqtt,
    /// mosquitto's broker, as a bridge
    MosquittoBridge,
    /// paho-mqtt, in Python
    Paho,
    /// MQTT.js
    Mqttjs,
    /// MQTTX
    Mqttx,
    /// The AWS IoT Device SDK for Python
    Awsiotsdk,
    /// AT commands of the modem SIM7600
    Sim7600,
    /// AT commands of the modem BG96
    Bg96,
    /// A C header
    CHeader,
}

/// How a platform writes the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As a string of C, Python, JavaScript or YAML: JSON's form.
    Json,
    /// As bytes of Python.
    PythonBytes,
    /// As a word of a POSIX shell.
    Shell,
    /// As it is, so that no quote and no blank may be in it.
    Plain,
}

impl Platform {
    /// The configuration, with `@NAME@` for each value.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::EspIdf => include_str!("templates/esp-idf.c"),
            Self::Arduino => include_str!("templates/arduino.cpp"),
            Self::Micropython => include_str!("templates/micropython.py"),
            Self::Tasmota => include_str!("templates/tasmota.txt"),
            Self::Esphome => include_str!("templates/esphome.yaml"),
            Self::Zigbee2mqtt => include_str!("templates/zigbee2mqtt.yaml"),
            Self::MosquittoBridge => include_str!("templates/mosquitto-bridge.conf"),
            Self::Paho => include_str!("templates/paho.py"),
            Self::Mqttjs => include_str!("templates/mqttjs.js"),
            Self::Mqttx => include_str!("templates/mqttx.sh"),
            Self::Awsiotsdk => include_str!("templates/awsiotsdk.py"),
            Self::Sim7600 => include_str!("templates/sim7600.txt"),
            Self::Bg96 => include_str!("templates/bg96.txt"),
            Self::CHeader => include_str!("templates/c-header.h"),
        }
    }

    /// What stands in for the password, and how the password itself is written.
    pub(super) fn password(self) -> (&'static str, Quoting) {
        match self {
            Self::EspIdf | Self::Arduino | Self::CHeader | Self::Micropython => {
                ("DEVICE_PASSWORD", Quoting::Json)
            }
            Self::Esphome => ("!secret mqtt_password", Quoting::Json),
            Self::Zigbee2mqtt => ("'!secret.yaml mqtt_password'", Quoting::Json),
            Self::Paho => ("os.environ[\"LATCHKEY_PASSWORD\"]", Quoting::Json),
            Self::Mqttjs => ("process.env.LATCHKEY_PASSWORD", Quoting::Json),
            Self::Awsiotsdk => ("os.environb[b\"LATCHKEY_PASSWORD\"]", Quoting::PythonBytes),
            Self::Mqttx => ("\"$LATCHKEY_PASSWORD\"", Quoting::Shell),
            Self::Tasmota | Self::MosquittoBridge | Self::Sim7600 | Self::Bg96 => {
                ("PASSWORD", Quoting::Plain)
            }
        }
    }

    /// Whether its configuration has the values between quotes or blanks, without an escape for either.
    pub(super) fn is_plain(self) -> bool {
        self.password().1 == Quoting::Plain
    }

    /// Whether it can offer an ALPN protocol.
    pub(super) fn has_alpn(self) -> bool {
        !matches!(self, Self::Micropython | Self::Esphome | Self::Zigbee2mqtt | Self::Sim7600 | Self::Bg96)
    }

    /// What a person has to know besides ALPN. The sources are the platforms' own pages and sources.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            Self::Arduino => Some("PubSubClient publishes with QoS 0 only"),
            Self::Tasmota => Some(
                "the released binaries lack `USE_MQTT_AWS_IOT_LIGHT`: build your own; Tasmota's default topics \
                 (`cmnd/…`, `stat/…`, `tele/…`) and its retained last will need a grant that has them",
            ),
            Self::Esphome => Some(
                "birth, will and shutdown messages, the log's topic and `discover_ip` are off, because their messages are \
                 retained and the built-in grants allow no retained messages; set `retain: false` for each sensor, switch \
                 and the like too, or give the device a grant that may retain",
            ),
            Self::Zigbee2mqtt => Some(
                "it publishes retained messages and a retained last will: the grant needs `retain` for its topics",
            ),
            Self::Micropython => {
                Some("the certificate's dates are checked against the clock: set it first, with `ntptime`")
            }
            Self::Bg96 => Some("older firmware has no `sni` setting: AT+QSSLCFG=? lists what yours has"),
            _ => None,
        }
    }
}
