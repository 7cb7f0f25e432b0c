"""What kinds of cooperatives there are, how often, since when, and the words their names are made of."""

from dataclasses import dataclass

FLOWERS = (
    *("Melati", "Mawar", "Anggrek", "Kenanga", "Dahlia", "Cempaka", "Teratai", "Seruni", "Flamboyan", "Bougenville"),
    *("Kartini", "Srikandi", "Dewi Sartika", "Sekar Arum", "Sri Kandi Mulya", "Wijaya Kusuma", "Puspa Indah"),
    *("Kusuma Wardani", "Mekar Wangi", "Dewi Ratih", "Nusa Indah", "Sekar Tanjung", "Edelweis", "Aster", "Tulip Putih"),
)
FIRST_WORDS = (
    *("Karya", "Sumber", "Tunas", "Bina", "Artha", "Mitra", "Rukun", "Sari", "Guna", "Budi", "Setia", "Cipta", "Dwi"),
    *("Tri", "Panca", "Sinar", "Bhakti", "Griya", "Langgeng", "Manunggal", "Gotong", "Ngudi", "Surya", "Wahana"),
    *("Lumbung", "Mekar", "Citra", "Jati", "Agung", "Ganesha"),
)
SECOND_WORDS = (
    *("Makmur", "Mulya", "Sejahtera", "Barokah", "Lestari", "Abadi", "Jaya", "Mandiri", "Utama", "Sentosa", "Rahayu"),
    *("Bersama", "Santosa", "Widodo", "Raharjo", "Royong", "Waluyo", "Saras", "Pertiwi", "Persada", "Kencana", "Rejo"),
    *("Harapan", "Usaha", "Tirta", "Sakti"),
)
PIOUS_WORDS = (
    *("Nurul Huda", "Al Hikmah", "Raudlatul Jannah", "Miftahul Ulum", "Darussalam", "Al Ikhlas", "An Nur", "Al Falah"),
    *("Sunan Kalijogo", "Bahrul Ulum", "Hidayatul Mubtadiin", "Al Amin", "Roudlotul Muhsinin", "As Salam", "Al Barkah"),
    *("Mambaul Hikam", "Tarbiyatul Aulad", "Nurul Yaqin", "Sirojul Munir", "Al Muttaqin", "Al Munawwaroh", "Ar Rohmah"),
)
STREETS = (
    *("Panglima Sudirman", "Diponegoro", "Ahmad Yani", "Hasanudin", "Trunojoyo", "Kartini", "Sultan Agung", "Mawar"),
    *("Pahlawan", "Gajah Mada", "Hayam Wuruk", "Imam Bonjol", "Untung Suropati", "Merdeka", "Kawi", "Bromo", "Pasar"),
)
HAMLETS = ("Krajan", "Sumberejo", "Krajan Wetan", "Krajan Kulon", "Ngepoh", "Jatisari", "Tegalrejo", "Kampung Baru")

FINANCE = "Jasa Keuangan dan Asuransi"
OTHER_SERVICES = "Jasa Lainnya"
FARMING = "Pertanian, Kehutanan dan Perikanan"
TRADE = "Perdagangan Besar dan Eceran - Rep Mobil dan Motor"
LODGING = "Penyediaan Akomodasi dan Makan Minum"
MINING = "Pertambangan dan Penggalian"
TRANSPORT = "Transportasi dan Pergudangan"
INDUSTRY = "Industri Pengolahan"

type Weighted[T] = tuple[tuple[T, int], ...]

GENERAL: Weighted[str] = (("Konsumen", 78), ("Jasa", 7), ("Produsen", 7), ("Pemasaran", 5), ("Simpan Pinjam", 3))
CONSUMER: Weighted[str] = (("Konsumen", 1),)
SAVINGS: Weighted[str] = (("Simpan Pinjam", 98), ("Konsumen", 2))
PRODUCER: Weighted[str] = (("Produsen", 60), ("Konsumen", 36), ("Pemasaran", 4))

FINANCIAL: Weighted[str] = ((FINANCE, 92), (OTHER_SERVICES, 8))
MIXED: Weighted[str] = ((FINANCE, 68), (OTHER_SERVICES, 20), (LODGING, 7), (TRADE, 3), (INDUSTRY, 2))
RURAL: Weighted[str] = ((FARMING, 74), (FINANCE, 26))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cooperative, in the Ministry's words.

    `weight` is how many there are among about 1,387; `founded` gives years (from, to) and their weights; `members`
    the smallest, the usual and the largest number of members; `women` the usual share of women in per cent.
    """

    group: str
    weight: int
    titles: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    founded: Weighted[tuple[int, int]]
    types: Weighted[str]
    sectors: Weighted[str]
    members: tuple[int, int, int]
    women: int


PAIR = (FIRST_WORDS, SECOND_WORDS)
TRIPLE = (FIRST_WORDS, SECOND_WORDS, SECOND_WORDS)
ONE_FLOWER = (FLOWERS,)
PIOUS = (PIOUS_WORDS,)


def _in(*eras: tuple[int, int, int]) -> Weighted[tuple[int, int]]:
    return tuple(((first, last), weight) for first, last, weight in eras)


# fmt: off
KINDS = (
    Kind("Kop. Wanita", 409, ("Koperasi Wanita",), ONE_FLOWER,
         _in((2009, 2010, 92), (2011, 2016, 8)), CONSUMER, FINANCIAL, (22, 70, 190), 100),
    Kind("Kop. Wanita", 60, ("Koperasi Wanita",), PAIR,
         _in((2009, 2010, 1)), CONSUMER, FINANCIAL, (22, 70, 190), 100),
    Kind("Kop. Serba Usaha", 200, ("Koperasi", "Koperasi", "Koperasi Serba Usaha", "Koperasi Konsumen"), PAIR,
         _in((1972, 1996, 4), (1997, 1997, 4), (1998, 2000, 38), (2001, 2006, 6), (2007, 2016, 42), (2017, 2021, 6)),
         GENERAL, MIXED, (20, 48, 320), 40),
    Kind("Kop. Lainnya", 175, ("Koperasi", "Koperasi Konsumen", "Koperasi Jasa"), TRIPLE,
         _in((1998, 2000, 54), (2001, 2016, 19), (2017, 2021, 27)), GENERAL, MIXED, (20, 35, 110), 35),
    Kind("Kop. Simpan Pinjam dan Pembiayaan Syariah", 112,
         ("Koperasi Simpan Pinjam dan Pembiayaan Syariah", "Koperasi BMT"), PIOUS,
         _in((1997, 2000, 3), (2014, 2016, 97)), SAVINGS, FINANCIAL, (20, 42, 120), 50),
    Kind("Kop. Simpan Pinjam", 84, ("Koperasi Simpan Pinjam", "Koperasi Simpan Pinjam", "Koperasi Kredit"), PAIR,
         _in((1970, 1996, 24), (1998, 2006, 36), (2007, 2016, 33), (2018, 2021, 7)),
         SAVINGS, FINANCIAL, (22, 90, 1500), 45),
    Kind("Kop. Pegawai Negeri (KPRI)", 78, ("Koperasi Pegawai Republik Indonesia",), PAIR,
         _in((1967, 1992, 94), (1998, 2006, 6)), CONSUMER, FINANCIAL, (46, 167, 520), 48),
    Kind("Kopkar", 70, ("Koperasi Karyawan",), PAIR,
         _in((1978, 1996, 35), (1997, 1997, 36), (1998, 2014, 29)), CONSUMER, MIXED, (24, 90, 700), 35),
    Kind("Koppontren", 59, ("Koperasi Pondok Pesantren",), PIOUS,
         _in((1995, 1997, 20), (1998, 2000, 80)), CONSUMER, FINANCIAL, (20, 34, 120), 20),
    Kind("Kop. Pertanian", 36, ("Koperasi Pertanian", "Koperasi Tani"), PAIR,
         _in((1998, 2000, 84), (2017, 2020, 16)), PRODUCER, RURAL, (21, 50, 270), 15),
    Kind("KUD", 33, ("Koperasi Unit Desa",), PAIR, _in((1972, 1981, 1)), PRODUCER, RURAL, (79, 1300, 9200), 25),
    Kind("Kop. Kehutanan", 30, ("Koperasi Wana", "Koperasi Kehutanan"), PAIR,
         _in((1999, 1999, 14), (2012, 2016, 60), (2019, 2019, 26)), PRODUCER, RURAL, (20, 30, 60), 12),
    Kind("Kop. Pasar", 13, ("Koperasi Pedagang Pasar", "Koperasi Pasar"), PAIR,
         _in((1992, 2000, 1)), CONSUMER, ((TRADE, 1), (FINANCE, 1)), (27, 140, 1500), 60),
    Kind("Kop. Sekunder", 8, ("Pusat Koperasi",), PAIR,
         _in((1987, 2013, 1)), (("Konsumen", 1), ("Pemasaran", 1)), ((FINANCE, 1),), (9, 24, 68), 0),
    Kind("Kop. Pertambangan", 8, ("Koperasi Tambang",), PAIR,
         _in((2012, 2016, 1)), (("Pemasaran", 1),), ((MINING, 1),), (20, 23, 34), 8),
    Kind("Kop. Pepabri", 7, ("Koperasi Pepabri",), PAIR,
         _in((1977, 1979, 1)), CONSUMER, FINANCIAL, (43, 80, 390), 30),
    Kind("Kop. Peternakan", 6, ("Koperasi Peternakan",), PAIR,
         _in((1980, 1999, 1)), PRODUCER, RURAL, (23, 60, 4000), 12),
    Kind("Kop. Angkutan Darat", 6, ("Koperasi Transportasi",), PAIR,
         _in((2012, 2016, 1)), (("Jasa", 2), ("Konsumen", 3)), ((TRANSPORT, 1),), (20, 45, 115), 5),
    Kind("Kop. Wredatama", 5, ("Koperasi Pensiunan Wredatama Republik Indonesia",), PAIR,
         _in((1967, 1990, 1)), CONSUMER, FINANCIAL, (40, 87, 220), 40),
)
# fmt: on

SECONDARY_GROUP = "Kop. Sekunder"

NEWCOMER = Kind(
    group="Kop. Lainnya",
    weight=0,
    titles=("Koperasi Konsumen", "Koperasi Jasa", "Koperasi Produsen", "Koperasi Pemasaran"),
    words=TRIPLE,
    founded=_in((2022, 2024, 1)),
    types=GENERAL,
    sectors=MIXED,
    members=(9, 24, 60),
    women=45,
)
