"""A function of the older kind, which runs once and gives a value back."""

import fal


@fal.function("virtualenv", requirements=["pydantic"], machine_type="S", keep_alive=0)
def answer() -> int:
    print("asked once")
    return 42
