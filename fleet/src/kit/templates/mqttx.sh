# MQTTX CLI. The app has the same settings; ALPN is among those of TLS.
mqttx pub -l mqtts -h @'host'@ -p @port@ --ca @'ca_file'@ \
  --alpn @'alpn'@ \
  -i @'client_id'@ -u @'user_name'@ -P @password@ -k @keep_alive@ \
  -t @'publish'@ -q 1 -m hello
