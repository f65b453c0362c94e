#!/bin/sh
# Start the folder of `make desktop` in a root that holds nothing else: no Python, no packages, no PATH, no PYTHONPATH.
#     sudo sh scripts/desktop_alone.sh [RECORDING…]
# What is copied beside it are the system's own libraries that it is linked with (libc, libegl1 …), fonts, and the
# recordings. It answers them without a screen and prints a row each; the answer of `earnest predict` can be laid beside.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$here/dist/earnest-desktop
[ -x "$folder/earnest-desktop" ] || { echo "There is no $folder. First: make desktop" >&2; exit 1; }
[ $# -gt 0 ] || set -- "$here"/earnest/demo/*.flac
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/app" "$root/talk" "$root/tmp" "$root/dev" "$root/etc" "$root/usr/share"
cp -a "$folder/." "$root/app/"
cp "$@" "$root/talk/"
cp -aL /etc/fonts "$root/etc/" 2>/dev/null || true
cp -aL /usr/share/fonts "$root/usr/share/" 2>/dev/null || true
for device in null zero urandom; do
  cp -a "/dev/$device" "$root/dev/"
done
find "$root/app" -type f \( -name '*.so*' -o -name earnest-desktop \) -exec ldd {} + 2>/dev/null |
  awk '$3 ~ /^\// {print $3} $1 ~ /^\/.*ld-linux/ {print $1}' | sort -u | grep -v "^$root" | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
echo "outside the folder: $(find "$root" -path "$root/app" -prune -o -type f -name '*.so*' -print | wc -l) system libraries, \
$(find "$root" -path "$root/app" -prune -o \( -name 'python*' -o -name 'site-packages' \) -print | wc -l) files of Python"
begun=$(date +%s%N)
status=0
env -i QT_QPA_PLATFORM=offscreen HOME=/tmp /usr/sbin/chroot "$root" /app/earnest-desktop --until-answered --folder /tmp/kept \
  $(cd "$root" && find talk -type f | sort | sed 's|^|/|') || status=$?
echo "status $status after $((($(date +%s%N) - begun) / 1000000)) ms, start included"
exit "$status"
