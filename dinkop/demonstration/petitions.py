"""Who asked for PUAS in the year of the demonstration, besides the cooperative in Wagir: all of it invented."""

from dinkop.demonstration.mentoring import Petition, Unregistered, accepted, completed, declined, held, redirected
from dinkop.demonstration.register import PROPOSED_NIK

COMPLETED = (
    Petition(
        "3507160018017",  # Koperasi Tani Ganesha Tirta, Kepanjen
        "rat",
        "letter",
        "2024-02-19",
        "RAT Tahun Buku 2022 terlambat dan laporan 2023 belum disusun karena bendahara mengundurkan diri. Kami mohon"
        " pendampingan agar RAT Tahun Buku 2023 dapat terlaksana sebelum akhir Juni.",
        (
            accepted("2024-02-22", visit_on="2024-02-28"),
            held("visit", "2024-02-28", 6, "Buku kas lengkap sampai Oktober 2023; nota November-Desember dikumpulkan."),
            held("training", "2024-03-14", 9, "Bimtek penyusunan neraca dan PHU dari buku kas."),
            held("monitoring", "2024-04-24", 5, "Neraca seimbang. Undangan RAT disiapkan."),
            held(
                "evaluation",
                "2024-05-08",
                5,
                "LPJ pengurus dan pengawas lengkap, siap dibagikan.",
            ),
            held("rat_attendance", "2024-05-20", 141, "RAT berjalan tertib, LPJ diterima."),
            completed("2024-05-27", "rat_held", "RAT Tahun Buku 2023 terlaksana. Berita acara telah diterima dinas."),
        ),
        letter_on="2024-02-14",
    ),
    Petition(
        "3507070018049",  # Koperasi Wanita Teratai, Dampit
        "business",
        "phone",
        "2024-03-04",
        "Simpan pinjam berhenti bergulir sejak Lebaran tahun lalu. Anggota masih ada, pengurus ragu memulai lagi.",
        (
            accepted("2024-03-07", visit_on="2024-03-13"),
            held("visit", "2024-03-13", 8, "Kas masih ada di bank. Anggota bersedia menabung kembali."),
            held("training", "2024-05-15", 17, "Bimtek administrasi simpan pinjam dan perhitungan jasa."),
            held("monitoring", "2024-07-10", 6, "Pinjaman kecil sudah bergulir kepada sebelas anggota."),
            held("evaluation", "2024-09-04", 6, "Angsuran lancar selama dua bulan."),
            completed("2024-09-10", "active_again", "Usaha berjalan kembali; RAT direncanakan sebelum akhir tahun."),
        ),
        roles=("ketua", "bendahara"),
    ),
    Petition(
        "3507290058006",  # Koperasi Pegawai Republik Indonesia Tunas Makmur, Karangploso
        "vacant_board",
        "letter",
        "2024-01-15",
        "Ketua dan bendahara purna tugas, belum ada pengganti, sehingga tidak ada yang berwenang menandatangani cek.",
        (
            accepted("2024-01-18", visit_on="2024-01-24"),
            held("visit", "2024-01-24", 12, "Disepakati rapat anggota luar biasa untuk memilih pengurus baru."),
            held("training", "2024-03-06", 10, "Bimtek tugas dan wewenang bagi calon pengurus."),
            held("monitoring", "2024-05-22", 7, "Pengurus baru bekerja; spesimen tanda tangan di bank sudah diganti."),
            completed("2024-06-05", "active_again", "Kepengurusan lengkap dan usaha berjalan."),
        ),
        letter_on="2024-01-10",
        roles=("pengawas", "sekretaris"),
    ),
    Petition(
        "3507060148048",  # Koperasi Simpan Pinjam Mitra Royong, Sumbermanjing Wetan
        "bad_loans",
        "visit",
        "2024-05-13",
        "Separuh pinjaman macet dan anggota tinggal 25 orang. Pengurus menanyakan cara bergabung dengan koperasi lain.",
        (
            accepted("2024-05-16", visit_on="2024-05-29"),
            held("visit", "2024-05-29", 7, "Daftar pinjaman diperiksa bersama; pilihan dijelaskan kepada pengurus."),
            held("training", "2024-06-26", 14, "Penjelasan tata cara penggabungan kepada pengurus kedua koperasi."),
            held("evaluation", "2024-09-18", 11, "Rapat anggota kedua koperasi menyetujui penggabungan."),
            completed("2024-10-02", "merged", "Penggabungan disetujui; akta sedang diproses notaris."),
        ),
    ),
    Petition(
        PROPOSED_NIK,  # Koperasi Wanita Mitra Abadi, Tumpang
        "other",
        "camat",
        "2024-03-25",
        "Desa menanyakan koperasi yang tercatat di wilayahnya, tetapi tidak dikenal oleh perangkat desa dan warga.",
        (
            accepted("2024-03-28", visit_on="2024-04-17"),
            held("visit", "2024-04-17", 4, "Alamat didatangi bersama perangkat desa; tidak ada pengurus."),
            completed("2024-08-05", "dissolution_path", "Ditelusuri dua kali; disiapkan usulan penghapusan."),
        ),
        letter_on="2024-03-20",
        roles=("kepala seksi pemberdayaan masyarakat",),
    ),
    Petition(
        "3507100018003",  # Koperasi Simpan Pinjam Sinar Pertiwi, Poncokusumo
        "dispute",
        "phone",
        "2024-06-10",
        "Penelepon mengaku anggota dan menanyakan simpanan pokok yang tidak pernah dikembalikan pengurus.",
        (
            accepted("2024-06-13", visit_on="2024-06-20"),
            held("visit", "2024-06-20", 0, "Kantor kosong; pengurus dan pelapor tidak dapat ditemui."),
            completed("2024-08-26", "unreachable", "Tiga kali dihubungi lewat telepon dan surat tanpa jawaban."),
        ),
        roles=("anggota",),
    ),
    Petition(
        "3507280168024",  # Koperasi Karyawan Griya Widodo, Singosari
        "bookkeeping",
        "web",
        "2024-04-22",
        "Pembukuan masih ditulis tangan. Mohon pendampingan untuk beralih ke aplikasi.",
        (
            accepted("2024-04-25", visit_on="2024-05-07"),
            held("visit", "2024-05-07", 5, "Kebutuhan dicatat; perusahaan menawarkan tenaga akuntansinya."),
            completed("2024-05-21", "withdrawn", "Permohonan ditarik: pembukuan dibantu bagian keuangan perusahaan."),
        ),
        roles=("manajer",),
    ),
)

UNDER_WAY = (
    Petition(
        "3507210048026",  # Koperasi Wanita Aster, Wagir
        "rat",
        "camat",
        "2024-10-07",
        "Pengurus menyampaikan kepada kecamatan bahwa mereka belum pernah menyusun laporan sendiri dan mohon dibimbing"
        " sampai RAT.",
        (
            accepted("2024-10-10", visit_on="2024-10-16"),
            held("visit", "2024-10-16", 7, "Buku simpanan dan pinjaman rapi; neraca belum ada."),
            held("training", "2024-11-06", 15, "Bimtek menyusun neraca sederhana dan LPJ pengurus."),
        ),
        letter_on="2024-10-03",
        roles=("ketua", "bendahara"),
    ),
    Petition(
        "3507310038009",  # Koperasi Pertanian Jati Tirta, Pujon
        "business",
        "visit",
        "2024-07-17",
        "Anggota menjual sayur sendiri-sendiri kepada tengkulak. Pengurus ingin memasarkan bersama.",
        (
            accepted("2024-07-22", visit_on="2024-07-30"),
            held("visit", "2024-07-30", 13, "Hasil panen dan pembeli dipetakan bersama anggota."),
            held("training", "2024-08-28", 21, "Bimtek pemasaran bersama dan pencatatan setoran anggota."),
            held("monitoring", "2024-10-23", 9, "Pengiriman pertama ke pasar induk; pencatatan masih perlu dirapikan."),
        ),
    ),
    Petition(
        "3507140118043",  # Koperasi Wanita Sekar Tanjung, Gondanglegi
        "bookkeeping",
        "letter",
        "2024-08-19",
        "Buku besar hilang saat rumah bendahara direnovasi. Kami memiliki kartu anggota, tetapi tidak tahu memulainya.",
        (
            accepted("2024-08-22", visit_on="2024-09-03"),
            held("visit", "2024-09-03", 6, "Kartu anggota dicocokkan; 88 dari 96 kartu ditemukan."),
            held("training", "2024-10-09", 12, "Bimtek menyusun kembali saldo awal dari kartu anggota."),
        ),
        letter_on="2024-08-13",
        roles=("ketua", "bendahara"),
    ),
    Petition(
        "3507270068007",  # Koperasi Unit Desa Artha Rahayu, Lawang
        "dispute",
        "letter",
        "2024-06-24",
        "Sebagian anggota menolak laporan pengurus tentang penjualan gudang dan tidak mau menghadiri RAT.",
        (
            accepted("2024-06-27", visit_on="2024-07-04"),
            held("visit", "2024-07-04", 10, "Pengurus dan pengawas didengar."),
            held("visit", "2024-08-14", 34, "Anggota didengar; disepakati pemeriksaan oleh pengawas bersama anggota."),
            held("monitoring", "2024-10-30", 12, "Hasil pemeriksaan dibacakan; tanggal RAT akan ditentukan."),
        ),
        letter_on="2024-06-19",
        roles=("ketua", "ketua pengawas"),
    ),
    Petition(
        "3507220038030",  # Koperasi Simpan Pinjam Ganesha Utama, Pakisaji
        "bad_loans",
        "web",
        "2024-09-09",
        "Pinjaman macet mencapai sepertiga dari seluruh pinjaman. Mohon saran penagihan tanpa menimbulkan keributan.",
        (
            accepted("2024-09-12", visit_on="2024-09-24"),
            held("visit", "2024-09-24", 8, "Daftar pinjaman dikelompokkan menurut lama tunggakan."),
            held("monitoring", "2024-11-05", 6, "Penjadwalan ulang disepakati dengan dua puluh peminjam."),
        ),
        roles=("manajer", "ketua"),
    ),
    Petition(
        "3507130018006",  # Koperasi Pegawai Republik Indonesia Agung Widodo, Bululawang
        "rat",
        "letter",
        "2024-09-30",
        "Sejak pandemi tidak pernah RAT, padahal potongan gaji anggota tetap berjalan. Anggota mulai menanyakan SHU.",
        (
            accepted("2024-10-03", visit_on="2024-10-15"),
            held("visit", "2024-10-15", 9, "Data potongan gaji tersedia lengkap di bendahara sekolah."),
            held("training", "2024-11-12", 11, "Bimtek menyusun laporan tiga tahun buku sekaligus."),
        ),
        letter_on="2024-09-24",
    ),
)

TO_BE_VISITED = (
    Petition(
        "3507110108025",  # Koperasi Wanita Mawar, Wajak
        "vacant_board",
        "letter",
        "2024-11-04",
        "Ketua pindah ke luar kota dan sekretaris sakit. Anggota meminta pemilihan pengurus baru.",
        (accepted("2024-11-07", visit_on="2024-11-19"),),
        letter_on="2024-10-30",
        roles=("bendahara",),
    ),
    Petition(
        "3507050018013",  # Koperasi Wanita Kenanga, Gedangan
        "rat",
        "camat",
        "2024-11-05",
        "Hasil pertemuan di kecamatan: pengurus bersedia RAT, tetapi mohon didampingi menyusun LPJ.",
        (accepted("2024-11-08", visit_on="2024-11-21"),),
        letter_on="2024-11-01",
    ),
    Petition(
        "3507320068035",  # Koperasi Jasa Agung Mulya Royong, Ngantang
        "business",
        "web",
        "2024-10-28",
        "Usaha jasa angkut susu kalah bersaing. Mohon masukan mengenai usaha yang masih mungkin dijalankan.",
        (accepted("2024-11-01", visit_on="2024-11-26"),),
    ),
    Petition(
        Unregistered("Kelompok Ternak Sumber Rejeki", "35.07.17.2003", "Rumah ketua kelompok, RT.04 RW.02"),
        "legality",
        "visit",
        "2024-10-31",
        "Kelompok beranggotakan 24 peternak ingin mendirikan koperasi dan menanyakan syarat-syaratnya.",
        (accepted("2024-11-06", visit_on="2024-11-28"),),
        roles=("ketua kelompok",),
    ),
    Petition(
        "3507180038008",  # Koperasi Wanita Sinar Harapan, Kromengan
        "bookkeeping",
        "phone",
        "2024-11-06",
        "Selisih kas tidak ditemukan selama dua bulan. Mohon bantuan sebelum tutup buku.",
        (accepted("2024-11-11", visit_on="2024-12-03"),),
        roles=("bendahara",),
    ),
    Petition(
        "3507040098003",  # Koperasi Pegawai Republik Indonesia Mekar Kencana, Bantur
        "rat",
        "letter",
        "2024-11-07",
        "Menindaklanjuti surat teguran, kami mohon pendampingan melaksanakan RAT yang tertunda beberapa tahun.",
        (accepted("2024-11-12", visit_on="2024-12-10"),),
        letter_on="2024-11-04",
        roles=("sekretaris",),
    ),
)

UNDECIDED = (
    Petition(
        "3507300048026",  # Koperasi Serba Usaha Tunas Sejahtera, Dau
        "dispute",
        "letter",
        "2024-11-11",
        "Anggota menuntut pengembalian simpanan, sedangkan pengurus lama tidak menyerahkan buku kepada pengurus baru.",
        letter_on="2024-11-06",
    ),
    Petition(
        "3507200048002",  # Koperasi Konsumen Citra Lestari Mulya, Wonosari
        "other",
        "web",
        "2024-11-13",
        "Kami menanyakan apakah koperasi kecil seperti kami dapat mengikuti pelatihan di dinas.",
        roles=("ketua",),
    ),
    Petition(
        "3507020078021",  # Koperasi Wanita Kartini, Kalipare
        "rat",
        "camat",
        "2024-11-08",
        "Camat meneruskan permintaan pengurus agar didampingi melaksanakan RAT pada bulan Desember.",
        letter_on="2024-11-05",
        roles=("ketua", "bendahara"),
    ),
    Petition(
        Unregistered("Paguyuban Pedagang Pasar Sore", "35.07.13.1010", "Los tengah pasar sore"),
        "legality",
        "phone",
        "2024-11-12",
        "Paguyuban menanyakan apakah iuran pedagang dapat dikelola sebagai koperasi.",
        roles=("ketua paguyuban",),
    ),
)

TURNED_AWAY = (
    Petition(
        "3507270068007",  # Koperasi Unit Desa Artha Rahayu, Lawang: once more
        "dispute",
        "web",
        "2024-07-29",
        "Kami, beberapa anggota, menolak laporan pengurus dan mohon dinas membekukan kepengurusan.",
        (declined("2024-08-01", "Perkara yang sama sudah didampingi; anggota diundang pada pertemuan berikutnya."),),
        roles=("anggota", "anggota"),
    ),
    Petition(
        "3507080118021",  # Koperasi Wana Jati Mandiri, Tirtoyudo
        "other",
        "letter",
        "2024-05-20",
        "Mohon dinas menyelesaikan batas lahan garapan anggota dengan pengelola hutan.",
        (declined("2024-05-27", "Sengketa batas lahan bukan urusan perkoperasian."),),
        letter_on="2024-05-14",
    ),
    Petition(
        Unregistered("Perorangan", "35.07.24.2010", "Dusun Krajan RT.07 RW.03"),
        "business",
        "web",
        "2024-08-06",
        "Mohon bantuan modal untuk usaha warung saya.",
        (declined("2024-08-07", "PUAS mendampingi koperasi; permohonan modal perorangan tidak dapat dipenuhi."),),
        roles=("pemohon",),
    ),
    Petition(
        Unregistered("Pemberi pinjaman yang mengaku koperasi", "35.07.09.2005", "Sekitar pasar desa"),
        "bad_loans",
        "phone",
        "2024-07-15",
        "Penagih mengatasnamakan koperasi mendatangi warga setiap hari dan memungut bunga yang tinggi.",
        (
            redirected(
                "2024-07-16",
                "Satuan Tugas Pemberantasan Aktivitas Keuangan Ilegal",
                "Pemberi pinjaman tidak terdaftar sebagai koperasi.",
            ),
        ),
        roles=("warga",),
    ),
    Petition(
        "3507140108063",  # Koperasi Wanita Puspa Indah, Gondanglegi: its members come from all the province
        "bookkeeping",
        "letter",
        "2024-03-18",
        "Mohon pendampingan penyusunan laporan keuangan konsolidasi.",
        (
            redirected(
                "2024-03-21",
                "Dinas Koperasi dan UKM Provinsi Jawa Timur",
                "Wilayah keanggotaan lintas kabupaten dibina oleh provinsi.",
            ),
        ),
        letter_on="2024-03-12",
    ),
    Petition(
        "3507240018064",  # Koperasi Jasa Mitra Santosa Abadi, Tumpang
        "legality",
        "web",
        "2024-09-16",
        "Kami ingin mengubah anggaran dasar agar dapat menerima anggota dari kecamatan lain.",
        (
            redirected(
                "2024-09-19",
                "Notaris pembuat akta koperasi",
                "Perubahan anggaran dasar dibuat dengan akta notaris setelah rapat anggota; berkas contoh diberikan.",
            ),
        ),
        roles=("sekretaris",),
    ),
)

PETITIONS = (*COMPLETED, *UNDER_WAY, *TO_BE_VISITED, *UNDECIDED, *TURNED_AWAY)
