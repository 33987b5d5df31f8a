"""The smallest formatter on the contract's own bindings: what a page costs in Python beyond what it does."""

from wit_world import exports
from wit_world.exports import formatter as base
from wit_world.imports import output


class Session(base.Session):
    @classmethod
    def open(cls, doc, config_json):
        session = cls()
        session.out = output.main()
        session.spans = 0
        return session

    def add_page(self, p):
        info, text = p.info(), p.text()
        self.spans += len(p.spans())
        self.out.write_text(text if info.index == 0 else "wrong page")

    @staticmethod
    def finish(this):
        this.out.write_text(f" {this.spans}")


class Formatter(exports.Formatter):
    pass
