"""The system as docker-compose.yml runs it, for the same tests: a stack of a name, ports and volumes of its own."""

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from running import PATIENCE, REPOSITORY, SERVICES, Installation

COMPOSE = os.environ.get("DINKOP_TEST_SYSTEM") == "compose"
REPLICAS = int(os.environ.get("DINKOP_TEST_REPLICAS", "1"))
"""Of each service. Every request goes to another one than that before, so that no answer hangs on who gave the last."""
DATA = REPOSITORY.parent / "shared" / "data"


class Stack(Installation):
    """A stack, with a container in which commands run: `docker-compose run` for each would cost seconds every time.

    `shared` is the folder of the files that commands read and write; it has the same path there.
    """

    account = "local:dinkop"

    def __init__(self, shared: Path, base: int, name: str, **environment: str) -> None:
        super().__init__(shared / "nowhere", base, **environment)
        self.project = f"dinkop-test-{os.getpid()}-{name}"
        self.shared = shared
        self._compose = os.environ.get("COMPOSE", "docker-compose").split()
        self._secrets = Path(tempfile.mkdtemp(prefix="ds-"))
        self._begun = False
        self._turns = itertools.count()
        self.ports = {name: [base + 1 + at * REPLICAS + n for n in range(REPLICAS)] for at, name in enumerate(SERVICES)}
        told = {f"DINKOP_{name.upper()}_PORT": f"{ports[0]}-{ports[-1]}" for name, ports in self.ports.items()}
        if REPLICAS == 1:
            told = {name: ports.partition("-")[0] for name, ports in told.items()}
        told |= {f"DINKOP_{name.upper()}_REPLICAS": str(REPLICAS) for name in SERVICES}
        self.environment |= told | {
            "COMPOSE_PROJECT_NAME": self.project,
            "DINKOP_NATS_PORT": str(base + 9),
            "DINKOP_PUBLIC_NATS_URL": f"nats://127.0.0.1:{base + 9}",
            "DINKOP_SECRETS_FOLDER": str(self._secrets),
            "DINKOP_VERSION": os.environ.get("DINKOP_VERSION", "latest"),
            "DINKOP_BUILT": "1",
            "DINKOP_PATIENCE": str(int(PATIENCE)),
        }

    def compose(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run docker-compose on this stack."""
        done = subprocess.run(
            [*self._compose, *words],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def tried(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as the account of the container."""
        for path in (word for word in words if isinstance(word, Path)):
            # Root on the host and nobody in the container see the same files.
            for folder in path.parents:
                if folder.is_relative_to(self.shared):
                    folder.chmod(0o777)
        return subprocess.run(
            ["docker", "exec", "--env=COLUMNS=200", self._cli, "python", "-m", "dinkop", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,  # `demo` loads a whole regency
            check=False,
        )

    @property
    def _cli(self) -> str:
        return f"{self.project}-commands"

    def start(self, command: str = "up") -> None:
        """Start the stack, wait until it is healthy, and for `demo` fill it."""
        if self._begun and command == "up":
            return  # the tests share it
        done = subprocess.run(
            [REPOSITORY / "deploy" / "compose-up"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.compose('logs', '--tail=20').stdout}"
        self.output = done.stdout
        print(f"{self.project}: {done.stdout.splitlines()[-1]}")
        if not self._begun:
            volumes = [f"--volume={self.shared}:{self.shared}", f"--volume={REPOSITORY}:{REPOSITORY}:ro"]
            if DATA.is_dir():
                volumes.append(f"--volume={DATA}:{DATA}:ro")
            sleeping = ("--entrypoint", "sleep", "cli", "86400")
            self.compose("run", "-d", "--no-deps", "--name", self._cli, *volumes, *sleeping)
        self._begun = True
        if command == "demo":
            self.output += self.dinkop("demo")

    def stop(self, *_: Any) -> float:
        """Stop the services, and start nothing again by itself; the servers go on."""
        self.compose("stop", *SERVICES)
        return 0.0

    def leave(self) -> None:
        """Remove the container in which commands run, which holds volumes; the next start makes it again."""
        subprocess.run(["docker", "rm", "--force", self._cli], capture_output=True, check=False)
        self._begun = False

    def close(self) -> None:
        """Remove the stack with everything it had."""
        self.http.close()
        self.leave()
        self.compose("down", "--volumes", "--timeout", "5")
        shutil.rmtree(self._secrets)

    def url(self, service: str, path: str = "") -> str:
        """Return a URL of the next replica of a service."""
        ports = self.ports[service]
        return f"http://127.0.0.1:{ports[next(self._turns) % len(ports)]}{path}"

    def shown_url(self, service: str) -> str:
        """Return the URL that commands show for a service."""
        return f"http://{service}:8000"

    def log(self, service: str) -> str:
        """Return what the replicas of a service have logged."""
        return self.compose("logs", "--no-color", service).stdout

    def read(self, file: Path) -> str:
        """Return what a command wrote into a file that is for its account alone."""
        assert file.stat().st_mode & 0o777 == 0o600
        words = ["docker", "exec", self._cli, "cat", str(file)]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    def by_hand(self, service: str, statement: str) -> None:
        """Change a service's database behind its back."""
        self.compose("exec", "-T", "postgres", "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement, service)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers."""
        return self.compose("ps", "-q", service).stdout.split()
