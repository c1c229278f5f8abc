# An Ansible connection into a bed: commands by `bed exec`, files through their standard input.
import os
import subprocess

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: bed
short_description: a throwaway machine of the tests
description: Runs commands in a bed by its tool.
options:
  remote_addr:
    description: Name of the bed.
    default: inventory_hostname
    vars: [{name: ansible_host}]
  tool:
    description: Path of the tool.
    vars: [{name: bed_tool}]
"""


class Connection(ConnectionBase):
    transport = "bed"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def _run(self, words, data):
        command = [self.get_option("tool"), "exec", self.get_option("remote_addr"), *words]
        done = subprocess.run(command, input=data, capture_output=True, timeout=300)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data or b"")

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as file:
            code, _, error = self._run(["/bin/sh", "-c", 'cat >"$1"', "sh", out_path], file.read())
        if code:
            raise AnsibleConnectionFailure(f"put {out_path}: {error.decode()}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        code, data, error = self._run(["cat", in_path], b"")
        if code:
            raise AnsibleConnectionFailure(f"fetch {in_path}: {error.decode()}")
        with open(os.path.join(out_path), "wb") as file:
            file.write(data)

    def close(self):
        self._connected = False
