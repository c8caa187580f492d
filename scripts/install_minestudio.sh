#!/usr/bin/env bash
# Makes a virtual environment that holds minestudio 1.1.6, which real Minecraft (--engine minecraft) runs in, fetches the
# game's engine through minestudio's own downloader, and says which Java and display the engine will find.
#
#   scripts/install_minestudio.sh FOLDER [--python PYTHON] [--torch REQUIREMENT] [--no-engine]
#
#   FOLDER               the environment; kept and completed if it is there
#   --python PYTHON      interpreter to make it with, 3.10 to 3.12 (default: python3 if it is one, else any)
#   --torch REQUIREMENT  what to give pip for torch, e.g. --torch torch==2.13.0 or, to spare gigabytes of CUDA that
#                        minestudio has no use for, --torch "torch --index-url URL-of-torch's-CPU-builds"
#   --no-engine          leave the engine's download out
#
# The engine goes to $MINESTUDIO_DIR (default: MineStudio in the temporary folder, which a restart may empty).
# Exit status: 0 all is there; 1 the environment could not be made; 2 it is there, but the engine is not.
set -euo pipefail

say() { echo "install_minestudio: $*" >&2; }
fail() { say "$@"; exit 1; }
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }

requirements="$(cd "$(dirname "$0")" && pwd)/minestudio-requirements.txt"
folder="" python="" torch="torch" engine=yes
while [ $# -gt 0 ]; do
    case "$1" in
        --python | --torch)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value; see --help"
            [ "$1" = --python ] && python=$2 || torch=$2
            shift 2 ;;
        --no-engine) engine=no; shift ;;
        -h | --help) usage; exit 0 ;;
        -*) fail "unknown option $1; see --help" ;;
        *) [ -z "$folder" ] || fail "one folder, not also $1; see --help"; folder=$1; shift ;;
    esac
done
[ -n "$folder" ] || { usage >&2; exit 1; }

# numpy below 2, which minestudio needs, has no builds for Python 3.13; minestudio itself wants 3.10.
supported='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'
if [ -n "$python" ]; then
    "$python" -c "" 2> /dev/null || fail "$python does not run; give --python a Python interpreter, 3.10 to 3.12"
    "$python" -c "$supported" || fail "$("$python" -V) cannot run minestudio 1.1.6, which needs Python 3.10 to 3.12"
else
    for candidate in python3 python3.12 python3.11 python3.10; do
        if "$candidate" -c "$supported" 2> /dev/null; then python=$candidate; break; fi
    done
    [ -n "$python" ] || fail "no Python 3.10 to 3.12 on PATH; install one, or name it with --python"
fi

if [ -x "$folder/bin/python" ]; then
    say "$folder is there; completing it"
    "$folder/bin/python" -c "$supported" || fail "$folder holds $("$folder/bin/python" -V), not 3.10 to 3.12; delete it"
else
    [ ! -e "$folder" ] || [ -z "$(ls -A "$folder")" ] || fail "$folder is there and no virtual environment; name another"
    say "making $folder with $("$python" -V)"
    "$python" -m venv "$folder" || fail "$python -m venv failed; on Debian and Ubuntu: apt install python3-venv"
fi
"$folder/bin/python" -m pip --version > /dev/null 2>&1 || fail "no pip in $folder; delete it and start again"
free=$("$folder/bin/python" -c 'import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free >> 20)' "$folder")
[ "$free" -ge 3000 ] || fail "$free MB are free at $folder; the environment needs 3000 (and torch with CUDA, 8000)"

pip() { "$folder/bin/python" -m pip --disable-pip-version-check "$@"; }
if ! "$folder/bin/python" -c "import torch" 2> /dev/null; then
    say "installing $torch"
    # shellcheck disable=SC2086  # a requirement and pip's options
    pip install --quiet $torch || fail "pip could not install $torch (its message is above)"
fi
say "installing what minestudio's simulator needs"
pip install --quiet -r "$requirements" || fail "pip could not install $requirements (its message is above)"
pip install --quiet --no-deps minestudio==1.1.6 || fail "pip could not install minestudio 1.1.6 (its message is above)"
"$folder/bin/python" - << 'CHECK' || fail "$folder cannot run minestudio (see above); delete it and start again"
import sys
from importlib.metadata import version

if int(version("numpy").split(".")[0]) >= 2:
    sys.exit(f"numpy is {version('numpy')}; minestudio 1.1.6 needs 1.x")
import minestudio.simulator

print(f"minestudio {version('minestudio')}, numpy {version('numpy')}, torch {version('torch')}: import works")
CHECK
say "the interpreter for --minestudio-python is $(cd "$folder" && pwd)/bin/python"

# The engine starts "java" on PATH, under xvfb-run.
if java=$(java -version 2>&1); then
    java=$(head -n 1 <<< "$java")
    case "$java" in
        *'"1.8.'*) say "Java: $java" ;;
        *) say "Java: $java. Minecraft 1.16.5 needs Java 8; put one first on PATH (apt install openjdk-8-jdk)" ;;
    esac
else
    say "Java: none. Install Java 8 (apt install openjdk-8-jdk, or conda install -c conda-forge openjdk=8)"
fi
if command -v xvfb-run > /dev/null; then
    say "display: $(command -v xvfb-run)"
else
    say "display: no xvfb-run. The engine draws into a virtual display: apt install xvfb"
fi

[ "$engine" = yes ] || exit 0
say "looking for the engine, downloading it if it is not there"
if ! "$folder/bin/python" - << 'ENGINE'
import os

import minestudio.simulator.entry as entry

try:
    # The check asks on a terminal; confirmed beforehand, it downloads.
    entry.check_engine(skip_confirmation=True)
except Exception as error:  # of many kinds: network, disk, a damaged archive
    raise SystemExit(f"{type(error).__name__}: {error}") from None
jar = os.path.join(entry.get_mine_studio_dir(), "engine", "build", "libs", "mcprec-6.13.jar")
if not os.path.exists(jar):
    raise SystemExit(f"after the download there is no {jar}")
print(f"engine: {jar}")
ENGINE
then
    say "the engine could not be fetched (see above). By hand: get engine.zip of CraftJarvis/SimulatorEngine from"
    say "Hugging Face on a machine that reaches it, unzip it, and set MINESTUDIO_DIR to the folder that then holds"
    say "engine/build/libs/mcprec-6.13.jar. Here it is looked for in ${MINESTUDIO_DIR:-MineStudio of the temporary folder}"
    exit 2
fi
