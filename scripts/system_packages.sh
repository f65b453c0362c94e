#!/bin/sh
# Install what the tests use beside Python packages, where that is allowed; tests that miss something say so and skip.
packages="espeak-ng flite fluidsynth timgm6mb-soundfont libportaudio2 chromium chromium-driver docker-compose
  libegl1 libgl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
  firefox-esr webkit2gtk-driver xvfb qemu-user"
[ -z "$CI" ] || packages="$packages nginx-light openssl" # nginx is a service, which nobody's own machine gets unasked

missing=""
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, some tests will be skipped:$missing (Debian: sudo apt-get install$missing)"
  exit 0
fi
echo "Installing$missing …"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # so no service is started
install() { apt-get -qq install --yes --no-install-recommends "$@" >/dev/null 2>&1; }
apt-get -qq update >/dev/null 2>&1
# shellcheck disable=SC2086 # a list of words
install $missing || for package in $missing; do # a system without one of them may have the others
  install "$package" || echo "Could not install $package; some tests will be skipped."
done
exit 0
