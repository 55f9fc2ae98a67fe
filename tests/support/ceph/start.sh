#!/bin/bash
# Starts one Ceph RGW on loopback, in memory: mon + osd + radosgw, no systemd, no root. It is ready when this script ends.
# usage: start.sh ROOT HTTP_PORT MON_PORT ACCESS_KEY SECRET_KEY [true|false: STS; true masks SignatureDoesNotMatch as AccessDenied]
#        [HTTPS_PORT CERTIFICATE: a PEM with its key] [seconds that a day of lifecycle rules lasts]
# Empties ROOT, and writes the processes' ids to ROOT/pids. End them with stop.sh ROOT.
set -euo pipefail
ROOT=$1 PORT=$2 MON_PORT=$3 ACCESS_KEY=$4 SECRET_KEY=$5 STS=${6:-false} HTTPS_PORT=${7:-} CERTIFICATE=${8:-} DAY=${9:--1}
rm -rf "$ROOT"; mkdir -p "$ROOT"/{mon.a,osd.0,log,run}
export CEPH_CONF="$ROOT/ceph.conf"
cat > "$CEPH_CONF" <<C
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_initial_members = a
mon_host = v2:127.0.0.1:$MON_PORT
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = $ROOT/keyring
run_dir = $ROOT/run
crash_dir = $ROOT/run
admin_socket = $ROOT/run/\$name.asok
log_file = $ROOT/log/\$name.log
mon_cluster_log_file = $ROOT/log/cluster.log
log_to_stderr = false
err_to_stderr = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_tick_interval = 1
osd_mon_report_interval = 1
mgr_initial_modules =
[mon]
mon_data = $ROOT/mon.a
[osd]
osd_data = $ROOT/osd.0
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_op_num_shards = 2
osd_class_load_list = *
osd_class_default_list = *
[client]
rgw_data = $ROOT/run
rgw_frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1${HTTPS_PORT:+ ssl_endpoint=127.0.0.1:$HTTPS_PORT ssl_certificate=$CERTIFICATE}
rgw_dns_name = s3.localhost
rgw_thread_pool_size = 16
rgw_enable_ops_log = false
rgw_enable_usage_log = false
rgw_lc_debug_interval = $DAY
rgw_s3_auth_use_sts = $STS
rgw_sts_key = abcdefghijklmnop
C
: > "$ROOT/pids"
spawn() { local name=$1; shift; setsid "$@" >"$ROOT/log/$name.out" 2>&1 </dev/null & echo "$!" >> "$ROOT/pids"; }
key() { ceph-authtool "$ROOT/keyring" --gen-key "$@" >/dev/null; }
key -C -n mon. --cap mon 'allow *'
key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx' --cap mgr 'allow rw'
FSID=$(sed -n 's/^fsid = //p' "$CEPH_CONF")
OSD=$(cat /proc/sys/kernel/random/uuid)
monmaptool --create --clobber --fsid "$FSID" --addv a "[v2:127.0.0.1:$MON_PORT]" "$ROOT/monmap" >/dev/null
ceph-mon --mkfs -i a --monmap "$ROOT/monmap" --keyring "$ROOT/keyring"
spawn mon ceph-mon -f -i a
ceph --connect-timeout 30 osd new "$OSD" 0 >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$OSD" >"$ROOT/log/mkfs.out" 2>&1
spawn osd ceph-osd -f -i 0
for _ in $(seq 300); do ceph --connect-timeout 30 osd stat 2>/dev/null | grep -q '1 up' && break; sleep 0.1; done
spawn rgw radosgw -f -n client.rgw
radosgw-admin -n client.rgw user create --uid=offpoll --display-name=offpoll --access-key="$ACCESS_KEY" --secret="$SECRET_KEY" \
  --caps="roles=*;user-policy=*" >/dev/null 2>"$ROOT/log/admin.out"
for _ in $(seq 600); do curl -s -o /dev/null "http://127.0.0.1:$PORT/" && exit 0; sleep 0.1; done
echo "radosgw did not answer on 127.0.0.1:$PORT" >&2; exit 1
