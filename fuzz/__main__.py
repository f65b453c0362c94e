"""``python -m fuzz list``, ``damage NAME SECONDS [SEED]`` (to JSON), ``run SECONDS [NAME…|--share 1/2]`` (atheris)."""

import json
import sys

from fuzz.damage import damage
from fuzz.readers import reader_called, readers

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["list"]:
            sys.stdout.write("\n".join(readers()) + "\n")
        case ["damage", name, seconds, *seed]:
            found = damage(reader_called(name), float(seconds), int(seed[0]) if seed else 0)
            sys.stdout.write(json.dumps(found.to_dict()) + "\n")
        case ["run", seconds, *names]:
            from fuzz.campaign import run, share_of

            if names[:1] == ["--share"]:
                number, _, shares = names[1].partition("/")
                names = share_of(int(number), int(shares))
            if late := run(float(seconds), names):
                sys.exit(f"Twice not done in time: {', '.join(late)}")
        case _:
            sys.exit(__doc__)
