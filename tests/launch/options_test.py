#!/usr/bin/python3
"""options_test.py SOURCES PROGRAMS: the command lines of deploy/ name options that the programs have.

Kubernetes, compose and systemd start programs with options that nobody tries out here: an option that was renamed would be
noticed on somebody's cluster. Also: what is set in their environments is read by the program.
"""
import pathlib
import re
import subprocess
import sys

try:
    import yaml
except ImportError:
    print("options_test.py: skipped: python3-yaml is not here")
    sys.exit(77)

SOURCES, PROGRAMS = map(pathlib.Path, sys.argv[1:3])
NAMES = ("retort", "retort-server", "retort-worker")
help_of = {}


def known(program, group=()):
    """The help of a program, or of a command of it."""
    key = (program, *group)
    if key not in help_of:
        ran = subprocess.run([PROGRAMS / program, *group, "--help"], capture_output=True, text=True, check=True)
        help_of[key] = ran.stdout
    return help_of[key]


def containers(document):
    """Every (command line, environment) of a Kubernetes or compose file, probes and health checks included."""
    if isinstance(document, dict):
        if "args" in document or "command" in document or "test" in document:
            words = document.get("args") or document.get("command") or document.get("test")
            env = document.get("env") or document.get("environment") or []
            yield words, [e["name"] for e in env] if isinstance(env, list) else list(env)
        for value in document.values():
            yield from containers(value)
    elif isinstance(document, list):
        for value in document:
            yield from containers(value)


def command_lines():
    """(file, words, variables)"""
    deploy = SOURCES / "deploy"
    for path in [*deploy.glob("kubernetes/**/*.yaml"), SOURCES / "docker-compose.yml"]:
        for document in yaml.safe_load_all(path.read_text()):
            for words, variables in containers(document):
                yield path, [str(w) for w in words], variables
    for path in deploy.glob("systemd/*.service"):
        text = path.read_text()
        for line in re.findall(r"^ExecStart=(.*)$", text, re.M):
            variables = re.findall(r"^#\s+(RETORT_\w+)=", text, re.M)
            yield path, line.split(), variables


def main():
    if "--access" not in known("retort-worker"):
        print("options_test.py: skipped: these programs know no access files")
        return 77
    wrong, seen = 0, 0
    for path, words, variables in command_lines():
        words = [w for w in words if w != "CMD"]
        program = pathlib.Path(words[0]).name
        if program == "cp":
            continue
        if program not in NAMES:
            print(f"{path}: {words[0]} is no program of Retort")
            wrong += 1
            continue
        seen += 1
        group = []
        for word in words[1:]:
            if program != "retort" or word.startswith("-"):
                break
            group.append(word)
        text = known(program) + (known(program, group) if group else "")
        for word in words[1:]:
            option = word.split("=")[0]
            if option.startswith("--") and not re.search(rf"{option}\b(?!-)", text):
                print(f"{path}: {' '.join([program, *group])} has no option {option}")
                wrong += 1
        everything = "".join(known(name) for name in NAMES)
        for variable in variables:
            if variable.startswith("RETORT_") and variable not in everything:
                print(f"{path}: no program reads {variable}")
                wrong += 1
    if seen < 8:
        print(f"only {seen} command lines were found")
        wrong += 1
    print(f"{seen} command lines, {wrong} things wrong")
    return 1 if wrong else 0


sys.exit(main())
