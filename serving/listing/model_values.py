"""What every part of a listing is made of: a frozen part, a number with its receipt, a picture."""

from pydantic import BaseModel, ConfigDict, Field

Scalar = int | float | str | bool | None


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Receipt(Part):
    """Where numbers come from: a file beside the listing, and its hash."""

    path: str = Field(description="Relative to the folder of the listing")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Figure(Part):
    """One number, as it is stored and as it is shown, with the place that it was read from."""

    value: int | float = Field(allow_inf_nan=False)
    text: str = Field(description="As pages show it")
    receipt: str = Field(description="Id in receipts")
    pointer: str = Field(description="JSON pointer (RFC 6901) in the receipt")
    count_of: str | None = Field(
        None, description="What was counted below the pointer; without it the pointer leads to the value itself"
    )


class Picture(Part):
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)
